"""``artifacts/predictions.parquet`` as the laptop reads it: bounded, and every row checked.

Spans are half-open ``[start, stop)`` in bars. Columns: docs/protocol.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from moola_remote.errors import ConfigError, missing_package
from moola_remote.protocol.types import MAX_NAME
from moola_remote.text.sanitize import safe

if TYPE_CHECKING:
    import pyarrow as pa
MAX_WINDOWS = 20_000
MAX_BARS = 2_000  # of one window
MAX_TYPES = 16
MAX_FILE_BYTES = 256 * 2**20
MAX_CONTENT_BYTES = 1 << 30  # as the footer has it, before it is unpacked
HIT_IOU = 0.5
EVIDENCE = ("evidence_networks", "evidence_columns")
SETS = (("starts", "stops", "types"), ("true_starts", "true_stops", "true_types"))


Span: TypeAlias = tuple[int, int]  # [start, stop)


@dataclass(frozen=True)
class Window:
    """One judged window; what an older job did not write is None.

    Attributes:
        group: equal for windows of one physical span.
        start_time: of the first bar, nanoseconds since 1970 UTC; -1 where unknown.
        start, stop: the found span; equal where none was found.
        said_bars, hit_bars: how many bars the decoder called inside, and how many of them are.
        true_type: None also where the window has no span, as both true ends say.
        bars: open, high, low, close of each bar, flat.
        span_probs: of each bar, in 0..1.
        evidence_networks, evidence_columns: what each says for the found span, in nats.
        starts, stops, types, true_starts, true_stops, true_types: of every found and every true
            span, where windows may hold several; None where they hold one.
    """

    window_id: str
    side: str
    start: int
    stop: int
    true_start: int
    true_stop: int
    confidence: float
    span_probs: list[float]
    said_bars: int
    hit_bars: int
    group: int | None = None
    start_time: int = -1
    true_type: int | None = None
    type_probs: list[float] | None = None
    bars: list[float] | None = None
    evidence_networks: float | None = None
    evidence_columns: float | None = None
    starts: list[int] | None = None
    stops: list[int] | None = None
    types: list[int] | None = None
    true_starts: list[int] | None = None
    true_stops: list[int] | None = None
    true_types: list[int] | None = None

    @property
    def is_several(self) -> bool:
        """Whether it may hold several spans."""
        return self.true_starts is not None

    @property
    def found(self) -> list[Span]:
        """Every span that was found, none of them empty."""
        return _spans(self.starts, self.stops, (self.start, self.stop))

    @property
    def true(self) -> list[Span]:
        """Every span that is true, none of them empty."""
        return _spans(self.true_starts, self.true_stops, (self.true_start, self.true_stop))

    def is_inside(self, bar: int) -> bool:
        """Whether a bar is in a true span."""
        return any(start <= bar < stop for start, stop in self.true)

    @property
    def key(self) -> tuple[str, str]:
        """What it is the same window by, in another run."""
        return self.side, self.window_id

    @property
    def iou(self) -> float:
        """Intersection over union of the found and the true span; of several, of all their bars."""
        if self.is_several:
            true = sum(stop - start for start, stop in self.true)
            return self.hit_bars / max(self.said_bars + true - self.hit_bars, 1)
        shared = overlap(self.start, self.stop, self.true_start, self.true_stop)
        union = (self.stop - self.start) + (self.true_stop - self.true_start) - shared
        return shared / union if union else 0.0

    @property
    def is_hit(self) -> bool:
        """Whether that is at least a half."""
        return self.iou >= HIT_IOU

    @property
    def said_type(self) -> int | None:
        """The likeliest type."""
        probs = self.type_probs
        return None if probs is None else max(range(len(probs)), key=probs.__getitem__)

    @property
    def typed(self) -> list[tuple[int, int]]:
        """True and found type, where both are known; of several spans those of each hit."""
        if not self.is_several:
            said = self.said_type
            return [] if said is None or self.true_type is None else [(self.true_type, said)]
        if self.types is None or self.true_types is None:
            return []
        hits = [(i, j) for iou, i, j in pairs_of(self) if iou >= HIT_IOU]
        return [(self.true_types[j], self.types[i]) for i, j in hits]


def pairs_of(window: Window) -> list[tuple[float, int, int]]:
    """Pair found and true spans one to one, from the greatest IoU down: IoU and both places.

    As `moola_core.evaluation.matching` does, which this side may not import.
    """
    every = []
    for i, (start, stop) in enumerate(window.found):
        for j, (true_start, true_stop) in enumerate(window.true):
            shared = overlap(start, stop, true_start, true_stop)
            if shared:
                union = (stop - start) + (true_stop - true_start) - shared
                every.append((-shared / union, i, j))
    pairs: list[tuple[float, int, int]] = []
    for less, i, j in sorted(every):
        if all(i != taken and j != other for _, taken, other in pairs):
            pairs.append((-less, i, j))
    return pairs


def _spans(starts: list[int] | None, stops: list[int] | None, one: Span) -> list[Span]:
    if starts is None or stops is None:
        return [one] if one[1] > one[0] else []
    return list(zip(starts, stops, strict=True))


def overlap(start: int, stop: int, other_start: int, other_stop: int) -> int:
    """Bars that two spans share."""
    return max(0, min(stop, other_stop) - max(start, other_start))


def read_windows(path: Path) -> list[Window]:
    """Return every row of the file.

    Raises:
        ConfigError: it is no Parquet, too large, lacks a column, or a row can't be.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError as err:
        raise (missing_package(err) or err) from err
    where = safe(str(path))
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{where}: expected at most {MAX_FILE_BYTES} bytes")
        with parquet.ParquetFile(path) as file:
            footer = file.metadata
            size = sum(footer.row_group(i).total_byte_size for i in range(footer.num_row_groups))
            if footer.num_rows > MAX_WINDOWS or size > MAX_CONTENT_BYTES:
                raise ConfigError(f"{where}: expected at most {MAX_WINDOWS} windows")
            table = file.read()
            table.validate(full=True)  # text that is none, lists that lead outside their values
            columns = _columns(table, where)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"{where}: not readable as Parquet, {safe(str(err), 200)}") from err
    names = list(columns)
    rows = zip(*columns.values(), strict=True)
    return [_window(dict(zip(names, row, strict=True)), i, where) for i, row in enumerate(rows)]


def _columns(table: pa.Table, where: str) -> dict[str, list[Any]]:
    """Return the columns that we know, as plain lists, each of its type."""
    import pyarrow as pa

    columns: dict[str, list[Any]] = {}
    for name, kind, is_needed in _schema():
        if name in table.column_names:
            try:
                columns[name] = table[name].cast(kind).to_pylist()
            except pa.ArrowException as err:
                raise ConfigError(
                    f"{where}: column {name}: expected {kind}, got {table[name].type}"
                ) from err
        elif is_needed:
            raise ConfigError(f"{where}: column {name} is missing")
    return columns


def _schema() -> Iterator[tuple[str, pa.DataType, bool]]:
    """Name, type, and whether it was there from the first version on."""
    import pyarrow as pa

    numbers = pa.list_(pa.float64())
    for name in ("window_id", "side"):
        yield name, pa.string(), True
    for name in ("start", "stop", "true_start", "true_stop"):
        yield name, pa.int64(), True
    yield "confidence", pa.float64(), True
    yield "span_probs", numbers, True
    for name in ("group", "start_time", "true_type", "said_bars", "hit_bars"):
        yield name, pa.int64(), False
    for name in ("type_probs", "bars"):
        yield name, numbers, False
    for name in EVIDENCE:
        yield name, pa.float64(), False
    for names in SETS:
        for name in names:
            yield name, pa.list_(pa.int64()), False


def _window(row: dict[str, Any], index: int, where: str) -> Window:
    wrong = next(_faults(row), None)
    if wrong:
        raise ConfigError(f"{where}: row {index}: {wrong}")
    shared = overlap(row["start"], row["stop"], row["true_start"], row["true_stop"])
    row.setdefault("said_bars", row["stop"] - row["start"])
    row.setdefault("hit_bars", shared)
    for name in ("window_id", "side"):
        row[name] = safe(row[name], MAX_NAME)
    if row.get("true_type") == -1:
        row["true_type"] = None
    return Window(**row)


def _number_faults(row: dict[str, Any]) -> Iterator[str]:
    if not all(0 <= value <= 1 for value in [*row["span_probs"], *row.get("type_probs", [])]):
        yield "span_probs, type_probs: expected values in 0..1"
    if not all(math.isfinite(row.get(name, 0.0)) for name in EVIDENCE):
        yield f"{', '.join(EVIDENCE)}: expected finite numbers"


def _set_faults(row: dict[str, Any], num_bars: int) -> Iterator[str]:
    """Yield what can't be in the lists of a window of several spans."""
    there = [name for names in SETS for name in names[:2] if name in row]
    if there and len(there) < 4:
        yield f"{', '.join(there)}: expected {', '.join(n for names in SETS for n in names[:2])}"
        return
    for starts, stops, types in SETS if there else ():
        ends = list(zip(row[starts], row[stops], strict=False))
        flat = [bar for span in ends for bar in span]
        is_right = len(row[starts]) == len(row[stops]) and flat == sorted(flat)
        if not (is_right and all(0 <= a < b <= num_bars for a, b in ends)):
            yield f"{starts}, {stops}: expected spans in {num_bars} bars, by their start"
        kinds = row.get(types)
        if kinds is not None and not (
            len(kinds) == len(ends) and all(0 <= kind < MAX_TYPES for kind in kinds)
        ):
            yield f"{types}: expected one of {MAX_TYPES} types a span"


def _faults(row: dict[str, Any]) -> Iterator[str]:
    """Yield what can't be in a row, the cause before its consequences."""
    for name, value in row.items():
        if value is None or (isinstance(value, list) and None in value):
            yield f"{name}: expected a value, got null"
            return
    num_bars, num_types = len(row["span_probs"]), len(row.get("type_probs", "x"))
    if not 0 < num_bars <= MAX_BARS:
        yield f"span_probs: expected 1 to {MAX_BARS} bars, got {num_bars}"
    for start, stop in (("start", "stop"), ("true_start", "true_stop")):
        if not 0 <= row[start] <= row[stop] <= num_bars:
            yield f"{start}, {stop}: expected a span in {num_bars} bars"
    yield from _set_faults(row, num_bars)
    yield from _number_faults(row)
    if not (0 < num_types <= MAX_TYPES and -1 <= row.get("true_type", 0) < MAX_TYPES):
        yield f"true_type, type_probs: expected 1 to {MAX_TYPES} types"
    if len(row.get("bars", ())) not in (0, 4 * num_bars):
        yield f"bars: expected 4 values a bar, got {len(row['bars'])} for {num_bars} bars"
    if not 0 <= row.get("hit_bars", 0) <= row.get("said_bars", num_bars) <= num_bars:
        yield "said_bars, hit_bars: expected counts of the window's bars"
