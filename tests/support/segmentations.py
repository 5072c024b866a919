"""All sets of disjoint spans of a short window, listed."""

from __future__ import annotations

from collections.abc import Iterator

from moola_core.spans.grid import all_spans


def every_set(num_bars: int, longest: int) -> list[tuple[int, ...]]:
    """Return each set as places in `all_spans`, by start; the empty one first."""
    spans = all_spans(num_bars, longest).tolist()

    def further(bar: int) -> Iterator[tuple[int, ...]]:
        yield ()
        for place, (start, stop) in enumerate(spans):
            if start >= bar:
                yield from ((place, *rest) for rest in further(stop))

    return list(further(0))
