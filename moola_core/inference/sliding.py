"""Spans of a series of any length: windows with overlap, one answer each, merged to one a run.

    from moola_core.data.series import read_chunks
    from moola_core.inference.sliding import answer, find_spans
    from moola_core.inference.trained_model import load_model

    trained = load_model(Path("results/RUN/artifacts"), torch.device("cpu"))
    found = find_spans(read_chunks(Path("bars.parquet")), partial(answer, trained))
    found.spans[0], found.confidence[0]  # the first span, [start, stop) in bars of the series

What is held of a series is one chunk, and some 50 bytes a window. Letters: B windows, T bars a
window, N spans found, K types.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from moola_core.config.sections import DecoderConfig
from moola_core.data.series import Bars
from moola_core.decoding.decode import Predictions, decode
from moola_core.decoding.disjoint import FoundSets
from moola_core.errors import ConfigError, DataError
from moola_core.features.bars import window_views
from moola_core.spans.intervals import WINDOW_BARS, FloatArray, IntArray

SHARE = 3  # windows that a bar is in, unless a stride is given
MOST_SHARE = 10  # the same where spans may be as long as windows
LONGEST = 25  # bars of a span, unless a model knows longer ones
BATCH_BARS = 256 * WINDOW_BARS


@dataclass(frozen=True)
class Answers:
    """What is said of windows: one span each, empty where none; or N of some of them.

    Attributes:
        spans: ``(B, 2)`` int. confidence: ``(B,)`` in 0..1.
        types: ``(B,)`` int, an index into the model's labels, -1 where it is not said.
        type_confidence: ``(B,)`` in 0..1, NaN where it is not said.
        window: ``(N,)`` int, which window each is of, where all of these are ``(N, ...)``; None:
            one of each, in order.
    """

    spans: IntArray
    confidence: FloatArray
    types: IntArray
    type_confidence: FloatArray
    window: IntArray | None = None


# All that `find_spans` needs of a model: windows of bars (B, T, 4) in, an answer each out.
Answerer: TypeAlias = Callable[[FloatArray], Answers]


class Predictor(Protocol):
    """A trained model, or several that answer as one."""

    @property
    def decoder(self) -> DecoderConfig:
        """How its predictions become spans."""
        ...

    @property
    def window_bars(self) -> int:
        """T."""
        ...

    @property
    def longest(self) -> int:
        """Bars of the longest span that it looks for."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """The words for its types."""
        ...

    def parts(self, bars: FloatArray) -> list[FloatArray]:
        """Return windows ``(B, T, 4)`` by as many as are best asked about at a time."""
        ...

    def predict(self, bars: FloatArray) -> Predictions:
        """Return what it says of windows of bars ``(B, T, 4)``."""
        ...


@dataclass(frozen=True)
class Found:
    """Spans of a series that share no bar, by their start.

    Attributes:
        spans: ``(N, 2)`` int, ``[start, stop)`` in bars of the series.
        confidence: ``(N,)`` in 0..1, of the window that is surest.
        types, type_confidence: ``(N,)`` as in `Answers`, of that window.
        windows: ``(N,)`` int, how many windows gave a span that shares a bar with it.
        time: ``(N, 2)`` int, nanoseconds since 1970 of the open of the first and of the last bar
            inside; None where the series has no times.
        num_bars, num_windows: what was looked at.
    """

    spans: IntArray
    confidence: FloatArray
    types: IntArray
    type_confidence: FloatArray
    windows: IntArray
    time: IntArray | None
    num_bars: int
    num_windows: int


def answer(trained: Predictor, bars: FloatArray) -> Answers:
    """Return what `trained` says of windows of bars ``(B, T, 4)``."""
    parts = [_answer(trained, part) for part in trained.parts(bars)]
    if len(parts) == 1:
        return parts[0]
    first = np.cumsum([0, *(len(part) for part in trained.parts(bars))])
    window = [
        one.window + low for one, low in zip(parts, first, strict=False) if one.window is not None
    ]
    joined = {
        name: np.concatenate([getattr(one, name) for one in parts])
        for name in ("spans", "confidence", "types", "type_confidence")
    }
    return Answers(**joined, window=np.concatenate(window) if window else None)


def _answer(trained: Predictor, bars: FloatArray) -> Answers:
    predictions = trained.predict(bars)
    decoded = decode(predictions, trained.decoder)
    if decoded.sets is not None:
        return _of_sets(decoded.sets, decoded.set_types, len(trained.labels))
    types = np.full(len(bars), -1, dtype=np.int64)
    type_confidence = np.full(len(bars), np.nan)
    if predictions.type_probs is not None:
        # The seed's head has a third output that no label uses.
        probs = predictions.type_probs[:, : len(trained.labels)]
        types, type_confidence = probs.argmax(axis=1), probs.max(axis=1)
    return Answers(decoded.spans, decoded.confidence, types, type_confidence)


def _of_sets(found: FoundSets, probs: FloatArray | None, num_types: int) -> Answers:
    types, sure = np.full(len(found.spans), -1, dtype=np.int64), np.full(len(found.spans), np.nan)
    if probs is not None:
        types, sure = probs[:, :num_types].argmax(axis=1), probs[:, :num_types].max(axis=1)
    return Answers(found.spans, found.confidence, types, sure, found.window)


def find_spans(
    chunks: Iterable[Bars],
    answerer: Answerer,
    *,
    stride: int | None = None,
    floor: float = 0.0,
    window_bars: int = WINDOW_BARS,
    longest: int = LONGEST,
) -> Found:
    """Return every run of a series once.

    Windows start every `stride` bars, the last one ends with the series. A span that touches its
    window's edge is dropped, unless the series ends there: it is cut, and whole in the next window.
    Of spans that share a bar the most confident stays (greedy non-maximum suppression).

    Args:
        chunks: the series, piece by piece.
        answerer: what says where the span of each window is.
        stride: bars from window to window, at most so many that the longest span lies inside one,
            or else a tenth of a window: longer spans may be cut by all windows, and are lost then.
            None: a third of a window, if it may be so many.
        floor: spans of less confidence are dropped.
        window_bars: T, as `answerer` knows them.
        longest: bars of the longest span that `answerer` may give.

    Raises:
        ConfigError: `stride` is out of range.
        DataError: the series is shorter than a window.
    """
    stride = _stride(window_bars, longest, stride)
    num_bars, num_windows, parts = 0, 0, []
    for first, windows, time in _slide(chunks, stride, window_bars):
        parts.append(_in_series(answerer(windows), first, time, floor))
        num_bars, num_windows = int(first[-1]) + window_bars, num_windows + len(first)
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    spans, first = columns["spans"], columns.pop("first")
    is_cut = ((spans[:, 0] == first) & (first > 0)) | (
        (spans[:, 1] == first + window_bars) & (spans[:, 1] < num_bars)
    )
    columns = {name: column[~is_cut] for name, column in columns.items()}
    kept, counts = suppress(columns["spans"], columns["confidence"], num_bars)
    columns = {name: column[kept] for name, column in columns.items()}
    time = columns.pop("time", None)
    return Found(**columns, windows=counts, time=time, num_bars=num_bars, num_windows=num_windows)


def sure_length(window_bars: int, longest: int, stride: int | None) -> int:
    """Return the bars of the longest span that is whole in some window wherever it is.

    Args and errors as of `find_spans`.
    """
    return min(longest, window_bars - _stride(window_bars, longest, stride) - 1)


def _stride(window_bars: int, longest: int, asked: int | None) -> int:
    most = max(window_bars - longest - 1, window_bars // MOST_SHARE, 1)
    stride = min(max(window_bars // SHARE, 1), most) if asked is None else asked
    if not 1 <= stride <= most:
        raise ConfigError(f"stride: expected 1..{most} bars, got {stride}")
    return stride


def suppress(spans: IntArray, confidence: FloatArray, num_bars: int) -> tuple[IntArray, IntArray]:
    """Return which spans stay when of those that share a bar the most confident wins.

    Greedy, from the highest confidence on (of equal ones the first): a span stays if no bar of it
    is in one that stayed before. Spans ``(M, 2)``, none empty, in ``0..num_bars``.

    Returns:
        ``(N,)`` the rows that stay, by their start; ``(N,)`` how many each stands for, itself
        among them (the rest count for the first one that they share a bar with).
    """
    owner = np.full(num_bars, -1, dtype=np.int32)
    count = np.zeros(len(spans), dtype=np.int64)
    for row in np.argsort(-confidence, kind="stable"):
        bars = owner[spans[row, 0] : spans[row, 1]]
        taken = bars[bars >= 0]
        if not len(taken):
            bars[:] = row
        count[taken[0] if len(taken) else row] += 1
    kept = np.flatnonzero(count)
    kept = kept[np.argsort(spans[kept, 0], kind="stable")]
    return kept, count[kept]


def _in_series(
    answers: Answers, first: IntArray, time: IntArray | None, floor: float
) -> dict[str, Any]:
    """Return the answers that are spans, in bars of the series; with each window's first bar."""
    keep = (answers.spans[:, 1] > answers.spans[:, 0]) & (answers.confidence >= floor)
    spans = answers.spans[keep]
    window = np.flatnonzero(keep) if answers.window is None else answers.window[keep]
    columns = {
        "spans": spans + first[window, None],
        "confidence": answers.confidence[keep],
        "types": answers.types[keep],
        "type_confidence": answers.type_confidence[keep],
        "first": first[window],
    }
    if time is not None:
        columns["time"] = np.take_along_axis(time[window], spans - np.array([0, 1]), axis=1)
    return columns


def _slide(
    chunks: Iterable[Bars], stride: int, window_bars: int
) -> Iterator[tuple[IntArray, FloatArray, IntArray | None]]:
    """Batches of windows: first bars ``(B,)``, bars ``(B, T, 4)``, times ``(B, T)`` or None.

    Views of the one chunk that is held; the last window ends with the series.
    """
    rest, begin, num_bars, last = None, 0, 0, None
    for chunk in chunks:
        rest = chunk if rest is None else rest.then(chunk)
        num_bars += len(chunk)
        last = (chunk if last is None else last.then(chunk)).after(-window_bars)
        count = max((len(rest) - window_bars) // stride + 1, 0)
        yield from _batches(rest, begin, count, stride, window_bars)
        rest, begin = rest.after(count * stride), begin + count * stride
    if last is None or num_bars < window_bars:
        raise DataError(
            f"bars: expected at least {window_bars}, the length of a window, got {num_bars}"
        )
    if begin - stride + window_bars < num_bars:
        yield from _batches(last, num_bars - window_bars, 1, stride, window_bars)


def _batches(
    bars: Bars, begin: int, count: int, stride: int, window_bars: int
) -> Iterator[tuple[IntArray, FloatArray, IntArray | None]]:
    if not count:
        return
    windows = window_views(bars.prices, window_bars, stride)
    times = None if bars.time is None else window_views(bars.time[:, None], window_bars, stride)
    size = max(BATCH_BARS // window_bars, 1)
    for low in range(0, count, size):
        chosen = slice(low, min(low + size, count))
        first = begin + stride * np.arange(chosen.start, chosen.stop)
        yield first, windows[chosen], None if times is None else times[chosen, :, 0]
