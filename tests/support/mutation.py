"""Bytes that are changed at random, and the one line that a reader may answer with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st

from tests.support.plain import is_one_line


def one_line(read: Callable[[], object], *errors: type[Exception]) -> object:
    """What `read` gives; None where it refuses, as it must: by one of `errors`, in one line."""
    try:
        return read()
    except errors as err:
        text = str(err)
        assert is_one_line(text)
        assert 0 < len(text) < 5000
    return None


@dataclass(frozen=True)
class Mutation:
    """Some bytes are changed, and a stretch is cut out or doubled.

    Attributes:
        edits: places, in millionths of the length or below 0 from the end, and bytes.
        stretch: where, how long, how often it is there afterwards.
    """

    edits: list[tuple[int, int]]
    stretch: tuple[int, int, int] | None

    def of(self, whole: bytes) -> bytes:
        """`whole`, mutated."""
        data = bytearray(whole)
        for place, byte in self.edits:
            data[self._index(place, len(data))] = byte
        if self.stretch is not None:
            start, size, times = self.stretch
            at = self._index(start, len(data))
            data[at : at + size] = data[at : at + size] * times
        return bytes(data)

    def _index(self, place: int, length: int) -> int:
        return max(length + place, 0) if place < 0 else place * (length - 1) // 1_000_000


# A footer is at the end, so that is where most is decided.
PLACES = st.integers(0, 1_000_000) | st.integers(-2000, -1)


MUTATIONS = st.builds(
    Mutation,
    st.lists(st.tuples(PLACES, st.integers(0, 255)), max_size=8),
    st.none() | st.tuples(PLACES, st.integers(0, 64), st.sampled_from([0, 2])),
)
