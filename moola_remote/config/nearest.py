"""The name that was meant by one that is unknown."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence


def nearest(word: str, known: Sequence[str]) -> str | None:
    """Return the one of `known` that looks most like `word`; None where none is known.

    What is short for another counts first: the initials of its words, or its beginning.

    >>> nearest("lr", ["epochs", "learning_rate", "rate"])
    'learning_rate'
    >>> nearest("epoch", ["learning_rate", "epochs"])
    'epochs'
    """
    for name in known:
        initials = "".join(part[0] for part in re.split(r"[-_.]+", name) if part)
        if len(word) > 1 and word.lower() == initials.lower():
            return name
    begun = [name for name in known if len(word) > 2 and name.startswith(word)]
    if begun:
        return min(begun, key=len)
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.0)
    return found[0] if found else None


def meant(word: str, known: Sequence[str], otherwise: str) -> str:
    """Return the question whether one of `known` was meant; `otherwise` where none is like it."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {near[0]}?" if near else otherwise
