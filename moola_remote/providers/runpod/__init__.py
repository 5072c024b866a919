"""Pods of RunPod, through its REST API v2 alone."""

from __future__ import annotations

import sys

# httpx imports its command line where click and rich are at hand, with pygments: a tenth of what a
# command for a rented pod costs. Without it httpx is complete but for that program.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
