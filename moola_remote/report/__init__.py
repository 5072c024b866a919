"""Fetched runs to look at: one self-contained HTML file a run, and runs side by side."""

from __future__ import annotations
