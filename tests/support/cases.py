"""How many random cases a test tries."""

from __future__ import annotations

from hypothesis import settings


def at_most(num_cases: int) -> settings:
    """Try `num_cases`, or as few as the profile says: `make unit` tries the first 30."""
    return settings(max_examples=min(num_cases, settings().max_examples))
