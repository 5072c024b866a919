"""Tags per bar, as sequence labellers write them: BIO, IOB1, BIOES, BILOU and BMES.

``B-up`` begins a span of type up, ``I-up`` (or M) goes on with it, ``E-up`` (or L) ends it, and
``S-up`` (or U, W) is one of a single bar; ``O`` is outside. I alone begins one as well, where none
of its type is before it: in IOB1 (Ramshaw & Marcus 1995, VLC) B only parts spans that touch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_TAG = re.compile(r"([BIMELSUW])(?:[-_](.*))?", re.IGNORECASE | re.DOTALL)
OUTSIDE = ("", "o")
FURTHER = frozenset("IMEL")
FIRST = frozenset("BSUW")
LAST = frozenset("ELSUW")


@dataclass(frozen=True)
class BarWords:
    """Labels per bar, a row each.

    Attributes:
        words: the label; nothing outside spans.
        begins, ends: whether a span begins or ends here even if its neighbour has the same label.
    """

    words: list[str]
    begins: list[bool]
    ends: list[bool]

    @classmethod
    def of(cls, words: list[str]) -> BarWords:
        """Return labels whose runs are the spans."""
        return cls(words, [False] * len(words), [False] * len(words))

    def take(self, rows: Iterable[int]) -> BarWords:
        """Return the labels of `rows`, in that order."""
        order = list(rows)
        return BarWords(
            [self.words[row] for row in order],
            [self.begins[row] for row in order],
            [self.ends[row] for row in order],
        )


def tagged(words: Sequence[str], mask_word: str) -> BarWords | None:
    """Return what tags say; None where the words are no tags, as "B-side" alone is none.

    Args:
        words: of each row, nothing outside spans.
        mask_word: the label of tags that name no type.
    """
    marks, types = [], list[str]()
    for word in words:
        is_outside = word.lower() in OUTSIDE
        tag = None if is_outside else _TAG.fullmatch(word)
        if tag is None and not is_outside:
            return None
        marks.append(tag[1].upper() if tag else "")
        types.append(((tag[2] or "").strip() or mask_word) if tag else "")
    used = set(zip(marks, types, strict=True))
    is_begun = any(("B", kind) in used for mark, kind in used if mark in FURTHER)
    is_io = {mark for mark, _ in used} - {"", "B"} == {"I"} and "o" in map(str.lower, words)
    if not is_begun and not is_io:
        return None
    return BarWords(types, [mark in FIRST for mark in marks], [mark in LAST for mark in marks])
