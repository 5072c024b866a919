"""What runs on the pod; each module is a program: ``python -m jobs.train --help``."""

from __future__ import annotations
