"""The job's side of moola: JadeCompact, a soft-span multi-task model of one-minute bars."""

from __future__ import annotations
