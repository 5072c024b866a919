"""What commands print: the answer on stdout, talk on stderr; JSON where it was asked for."""

from __future__ import annotations
