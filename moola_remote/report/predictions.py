"""``artifacts/predictions.parquet`` as the laptop reads it: bounded, and every row checked.

Spans are half-open ``[start, stop)`` in bars. Columns: docs/protocol.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

    @property
    def key(self) -> tuple[str, str]:
        """What it is the same window by, in another run."""
        return self.side, self.window_id

    @property
    def iou(self) -> float:
        """Intersection over union of the found and the true span."""
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
    yield from _number_faults(row)
    if not (0 < num_types <= MAX_TYPES and -1 <= row.get("true_type", 0) < MAX_TYPES):
        yield f"true_type, type_probs: expected 1 to {MAX_TYPES} types"
    if len(row.get("bars", ())) not in (0, 4 * num_bars):
        yield f"bars: expected 4 values a bar, got {len(row['bars'])} for {num_bars} bars"
    if not 0 <= row.get("hit_bars", 0) <= row.get("said_bars", num_bars) <= num_bars:
        yield "said_bars, hit_bars: expected counts of the window's bars"
