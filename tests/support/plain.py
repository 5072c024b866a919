"""What text may be shown: the oracle of every test that lets a pod speak."""

from __future__ import annotations

import unicodedata

# Control, format, surrogate, and both separators of lines. Not `str.isprintable`: letters that
# this Python does not know yet, private ones and a no-break space act on no terminal.
ACTING = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def is_safe(text: str) -> bool:
    """Whether it is one line that does nothing but show itself; a tab is fine."""
    return ACTING.isdisjoint(map(unicodedata.category, text.replace("\t", "")))


def is_one_line(text: str) -> bool:
    """The same of a name or a message, where a tab has no place."""
    return "\t" not in text and is_safe(text)
