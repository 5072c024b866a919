"""Times of bars as people write them: columns of any type to nanoseconds since 1970 UTC."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from moola_core.data.excel_days import EXPECTED as EXPECTED_DAYS
from moola_core.data.excel_days import MILLISECOND, days_to_ns
from moola_core.data.table_head import is_epoch, is_of_day, is_part_of_day, is_serial
from moola_core.data.time_cells import DIGITS, as_text, day_text, in_digits, plain
from moola_core.data.time_text import count_ns, day_or_month, digits_of, split_times, whole
from moola_core.data.unix_times import count_unix, is_unix, numbers_of
from moola_core.data.window_checks import Fault
from moola_core.data.zones import Fold, known, offset_name, offset_ns, readings, resolve_fold
from moola_core.errors import DataError
from moola_core.spans.intervals import BoolArray, IntArray

Dates = Literal["dmy", "mdy", "excel", "excel-1904"]
NO_ZONE = "no zone in the file, taken as UTC"
EXPECTED = "a time like 2024-01-31 09:30:00 (or -05:00 behind it, or a Unix time)"
FOLD_CURE = (
    "say which hour is meant: --fold 0 (the first), --fold 1 (the second) or --fold order"
    " (as rows follow)"
)
ORDER_CURE = (
    "the order of the rows does not show which: write the offset behind the times, such as -04:00,"
    " or say --fold 0 (the first) or --fold 1 (the second)"
)
DAYS = "days, as Excel counts them above"
OF_DAY = "milliseconds of the day in the file's name"
EXCEL_CURE = "give the cells a format with seconds in Excel, and save them again"


@dataclass
class Clock:
    """How a file's times are read; what was seen of them is noted for the report.

    Attributes:
        where: the file, for messages.
        tz: the zone that the user named; of times that have none of their own.
        zone: the zone of the layout, where `tz` is None.
        fold: which of two equal local hours is meant when clocks go back; order: the first time
            round the earlier one.
        dates: the order of day and month in ``01/02/2024``; where Excel's days are counted from.
        clock_digits: of times of day without colons; whole numbers have lost their zeros.
        day: 20240102, of which times are milliseconds.
        units, zones: what was seen.
        read_bare: whether there were times without a zone of their own.
    """

    where: str
    tz: str | None = None
    zone: str | None = None
    fold: Fold | None = None
    dates: Dates | None = None
    clock_digits: int = 0
    day: str | None = None
    units: set[str] = field(default_factory=set)
    zones: set[str] = field(default_factory=set)
    read_bare: bool = False

    def read(self, columns: list[pa.ChunkedArray], name: str, file_rows: IntArray) -> IntArray:
        """Return ``(T,)`` nanoseconds since 1970 UTC of a column, or of a day and a time of day.

        Args:
            columns: one, or a day and a time of day.
            name: of the column, for messages.
            file_rows: ``(T,)``, the rows' numbers in the file, for messages.

        Raises:
            DataError: a value is missing or is no time; a local time is none or two.
            ConfigError: there is no such zone.
        """
        for column in (columns := [plain(column) for column in columns]):
            empty = np.asarray(pc.is_null(column).to_numpy(), dtype=bool)
            _refuse(self.where, empty, column, name, file_rows, EXPECTED)
        column = columns[0]
        if self.day is not None:
            self.units.add(OF_DAY)
            count = _of_day(self.where, self.day, as_text(column), name, file_rows)
            return self._localise(count, name, file_rows)
        if is_serial(str(column[0].as_py())):
            return self._days(columns, name, file_rows)
        if len(columns) == 2:
            clock = as_text(columns[1])
            self.clock_digits = self.clock_digits or digits_of(clock)
            clock = pc.utf8_lpad(clock, self.clock_digits, "0")
            column = pc.binary_join_element_wise(day_text(column), clock, " ")
        kind = column.type
        if pa.types.is_date(kind):
            column = column.cast(pa.timestamp("s"))
            kind = column.type
        if pa.types.is_timestamp(kind):
            return self._typed(column, name, file_rows)
        is_decimal = pa.types.is_decimal(kind)
        if is_decimal or pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return self._counted(column, name, file_rows)
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return self._text(pc.utf8_trim_whitespace(column.cast(pa.string())), name, file_rows)
        raise DataError(f"{self.where}: column {name}: expected times, got {kind}; cast it")

    def describe(self) -> str:
        """Return units and zone in words."""
        return f"{' and '.join(sorted(self.units))}, {' and '.join(sorted(self.zones)[:3])}"

    @property
    def output_zone(self) -> str:
        """The zone in which times go out again: the file's own where it has one."""
        if self.tz is not None:
            return self.tz
        return self.named[0] if len(self.named) == 1 else "UTC"

    @property
    def named(self) -> list[str]:
        """The zones and offsets that the file itself has, sorted."""
        return sorted(zone for zone in self.zones if zone != NO_ZONE)

    def _typed(self, column: pa.ChunkedArray, name: str, file_rows: IntArray) -> IntArray:
        kind = column.type
        try:
            count = column.cast(pa.timestamp("ns", tz=kind.tz)).cast(pa.int64()).to_numpy()
        except pa.ArrowInvalid as err:
            reason = " ".join(str(err).split())
            raise DataError(
                f"{self.where}: column {name}: expected times of nanoseconds, {reason}; cast it"
            ) from err
        self.units.add(f"times of {kind.unit}")
        if kind.tz is None:
            return self._localise(count, name, file_rows)
        self.zones.add(kind.tz)
        return count

    def _days(self, columns: list[pa.ChunkedArray], name: str, file_rows: IntArray) -> IntArray:
        """Days since 1900 or 1904, as Excel saves them."""
        since = "1904" if self.dates == "excel-1904" else "1900"
        texts = [as_text(column) for column in columns]
        for text, is_one in zip(texts, (is_serial, is_part_of_day), strict=False):
            _require(self.where, is_one, text, name, file_rows, DAYS)
        count, is_coarse = days_to_ns(texts, since)
        _refuse(self.where, is_coarse, texts[-1], name, file_rows, EXPECTED_DAYS, EXCEL_CURE)
        other = " (1904: --dates excel-1904)" if since == "1900" else ""
        self.units.add(f"Excel's days since {since}{other}")
        return self._localise(count, name, file_rows)

    def _counted(self, column: pa.ChunkedArray, name: str, file_rows: IntArray) -> IntArray:
        """Unix times; each value by its own size, since Binance changed from ms to µs."""
        digits = in_digits(column)
        if digits is not None:
            return self._text(digits, name, file_rows)
        kind = column.type
        if pa.types.is_float16(kind) or pa.types.is_float32(kind):
            raise DataError(
                f"{self.where}: column {name}: Unix times as {kind}, which holds them to minutes,"
                " expected int64 or float64; write the times before they are cast"
            )
        size = np.abs(column.cast(pa.float64(), safe=False).to_numpy())
        _refuse(self.where, ~is_unix(size), column, name, file_rows, EXPECTED)
        self.zones.add("UTC")
        count, units = count_unix(column, size)
        self.units |= units
        return count

    def _text(self, column: pa.ChunkedArray, name: str, file_rows: IntArray) -> IntArray:
        first = column[0].as_py()
        if is_epoch(first) and not DIGITS.fullmatch(first):
            numbers = numbers_of(column)
            if numbers is not None:
                return self._counted(numbers, name, file_rows)
        parts, is_year_last = split_times(column)
        bad = np.asarray(pc.is_null(parts).to_numpy(zero_copy_only=False), dtype=bool)
        _refuse(self.where, bad, column, name, file_rows, EXPECTED)
        a, b = whole(parts, "a"), whole(parts, "b")
        is_swapped = is_year_last and self._day_first(first, a, b, name)
        month, day = (b, a) if is_swapped else (a, b)
        count, is_time = count_ns(parts, month, day)
        _refuse(self.where, ~is_time, column, name, file_rows, EXPECTED)
        self.units.add("text")
        return self._zoned(count, parts.field("z"), column, name, file_rows)

    def _day_first(self, first: str, a: IntArray, b: IntArray, name: str) -> bool:
        self.dates = day_or_month(first, a, b, self.dates)
        if self.dates is None:
            raise DataError(
                f"{self.where}: column {name}: {first!r} may be day or month first, expected dates"
                " that can be read in one way only; say which: --dates dmy or --dates mdy"
            )
        return self.dates == "dmy"

    def _zoned(
        self,
        count: IntArray,
        zones: pa.Array,
        column: pa.ChunkedArray,
        name: str,
        file_rows: IntArray,
    ) -> IntArray:
        is_bare = np.asarray(pc.equal(zones, "").to_numpy(zero_copy_only=False), dtype=bool)
        if is_bare.any() and not is_bare.all():
            _refuse(
                self.where, is_bare, column, name, file_rows, "a zone behind it, as other rows have"
            )
        coded = zones.dictionary_encode()
        code = coded.indices.to_numpy(zero_copy_only=False)
        out = np.empty(len(count), dtype=np.int64)
        for i, zone in enumerate(coded.dictionary.to_pylist()):
            rows = np.flatnonzero(code == i)
            offset = offset_ns(zone)
            if zone == "":
                out[rows] = self._localise(count[rows], name, file_rows[rows])
            elif offset is None:
                out[rows] = self._localise(count[rows], name, file_rows[rows], known(zone))
            else:
                out[rows] = count[rows] - offset
                self.zones.add(offset_name(offset))
        return out

    def _localise(
        self, count: IntArray, name: str, file_rows: IntArray, own: str | None = None
    ) -> IntArray:
        """Local times of a zone to UTC; clock changes by `fold`."""
        zone = own or self.tz or self.zone
        self.read_bare |= own is None
        if zone is None or zone == "UTC":
            self.zones.add(zone or NO_ZONE)
            return count
        local, first, second, is_jumped = readings(count, zone)
        jumped = f"a time that clocks in {zone} show (they jump over it in spring)"
        _refuse(self.where, is_jumped, local, name, file_rows, jumped, "say another zone: --tz")
        self.zones.add(zone)
        chosen, open_rows = resolve_fold(count, first, second, self.fold)
        twice = f"a time that clocks in {zone} show once (they go back in autumn)"
        cure = ORDER_CURE if self.fold == "order" else FOLD_CURE
        _refuse(self.where, open_rows, local, name, file_rows, twice, cure)
        return chosen


def _of_day(
    where: str, day: str, column: pa.ChunkedArray, name: str, file_rows: IntArray
) -> IntArray:
    """Return nanoseconds since 1970 of milliseconds of a day, 20240102."""
    expected = f"milliseconds of the day {day}, in whole seconds"
    _require(where, is_of_day, column, name, file_rows, expected)
    midnight = np.datetime64(f"{day[:4]}-{day[4:6]}-{day[6:]}", "ms").astype(np.int64)
    return (midnight + column.cast(pa.int64()).to_numpy()) * MILLISECOND


def _require(
    where: str,
    is_one: Callable[[str], bool],
    column: pa.ChunkedArray,
    name: str,
    file_rows: IntArray,
    expected: str,
) -> None:
    wrong = np.array([not is_one(value) for value in column.to_pylist()], dtype=bool)
    _refuse(where, wrong, column, name, file_rows, expected)


def _refuse(  # noqa: PLR0913 - each part of the message has its own source
    where: str,
    bad: BoolArray,
    column: pa.ChunkedArray | pa.Array,
    name: str,
    file_rows: IntArray,
    expected: str,
    cure: str = "fix that row",
) -> None:
    """Raise a DataError for the first of the bad rows, if there is any."""
    if bad.any():
        row = int(np.argmax(bad))
        value = column[row].as_py()
        got = "nothing" if value is None else repr(str(value))
        fault = Fault(int(file_rows[row]), name, got, expected)
        raise DataError(f"{where}: {fault}; {cure}")
