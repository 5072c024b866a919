"""The laptop's side of moola: pods, deploys, runs, logs and verified results over SSH."""

from __future__ import annotations

__version__ = "0.1.0"
