"""Prices of bars from columns of any type: text, floats, integers, decimals, fixed point."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from moola_core.data.column_names import COMMA_NAMES, PRICES
from moola_core.data.layout_choice import Columns
from moola_core.data.table_head import Head, is_number, normalise
from moola_core.data.window_checks import Fault
from moola_core.errors import DataError
from moola_core.spans.intervals import FloatArray, IntArray

CURRENCIES = "$€£¥"  # $100.25, as nasdaq.com has it
LEAST_FIXED = 1e-3  # of a price in units of 1e-9 or the like; below it is none
# With a comma for decimals and dots for thousands; or the other way round, or with no comma.
_DECIMAL_COMMA = re.compile(r"[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d*)?([eE][+-]?\d+)?")
_DOTS = re.compile(r"[+-]?\d{1,3}(\.\d{3}){2,}(,\d*)?")  # two, which no decimal number has
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?|[^,]*")
# Between thousands in French, Polish or Swiss: blanks of three kinds, apostrophes of two.
_GAP = "[ \u00a0\u2009\u202f'\u2019]"
_GAPS = rf"^[+-]?\d{{1,3}}({_GAP}\d{{3}})+([.,]\d*)?$"


class PriceReader:
    """How a file's prices become float64.

    Attributes:
        scale: what a whole number is divided by: 1e9 where the layout counts in units of 1e-9.
        is_decimal_comma: what a comma is: for decimals, or for thousands; None: none was seen yet.
    """

    def __init__(
        self, head: Head, columns: Columns, names: Sequence[str], delimiter: str = ","
    ) -> None:
        self.where = head.name
        rows = head.rows
        self.names = dict(zip(PRICES, (names[i] for i in columns.prices), strict=True))
        shown = [row[i] for row in rows for i in columns.prices if i < len(row)]
        is_whole = all(
            re.fullmatch(r"-?\d+", value) for value in shown if value not in ("", "None")
        )
        unit = columns.layout.fixed_point
        is_large = any(abs(float(one)) >= LEAST_FIXED * unit for one in shown if is_number(one))
        self.scale = unit if unit and is_whole and is_large else 1.0
        shown = [re.sub(_GAP, "", value).lstrip(CURRENCIES) for value in shown]
        # In Excel a comma is decimal where a semicolon is the delimiter, and in exports of some
        # languages: 1,100 is 1.1 there.
        is_abroad = delimiter == ";" or normalise(self.names["open"]) in COMMA_NAMES
        self._has_point = any("." in value for value in shown)
        self._first = next((abs(float(one)) for one in shown if is_number(one)), 0.0)
        with_comma = [value for value in shown if "," in value]
        self.is_decimal_comma: bool | None = None
        if any(map(_DOTS.fullmatch, shown)):
            self.is_decimal_comma = True
        if with_comma:
            is_plain = is_abroad and not self._has_point
            is_decimal = is_plain or not all(map(_THOUSANDS.fullmatch, with_comma))
            self.is_decimal_comma = is_decimal

    def read(
        self, columns: Sequence[pa.ChunkedArray], file_rows: IntArray, *, may_lack: bool = False
    ) -> FloatArray:
        """Return ``(T, 4)`` of the columns open, high, low, close.

        Args:
            columns: of the same length.
            file_rows: ``(T,)``, their numbers in the file.
            may_lack: a missing value is NaN.

        Raises:
            DataError: a value is missing or no number.
        """
        prices = [
            self._read(column, name, file_rows, may_lack=may_lack)
            for column, name in zip(columns, PRICES, strict=True)
        ]
        return np.stack(prices, axis=1)

    def _read(
        self, column: pa.ChunkedArray, price: str, file_rows: IntArray, *, may_lack: bool
    ) -> FloatArray:
        name = price if self.names[price].isdigit() else self.names[price]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        is_null = np.asarray(pc.is_null(column).to_numpy(), dtype=bool)
        if is_null.any() and not may_lack:
            row = int(file_rows[np.argmax(is_null)])
            fault = Fault(row, name, "nothing", "a number")
            raise DataError(
                f"{self.where}: {fault}; leave such bars out:"
                " python -m jobs.bars FILE --repair --out FILE.parquet"
            )
        kind = column.type
        if pa.types.is_string_view(kind):
            column, kind = column.cast(pa.string()), pa.string()
        is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        is_number = (
            pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        )
        if not (is_text or is_number):
            raise DataError(f"{self.where}: column {name}: expected numbers, got {kind}; cast it")
        if is_text:
            column = self._plain_text(column, name, file_rows)
        try:
            values = column.cast(pa.float64(), safe=not pa.types.is_integer(kind)).to_numpy()
        except pa.ArrowInvalid:
            for row, value in enumerate(column.to_pylist()):
                self._require_number(
                    value, Fault(int(file_rows[row]), name, repr(value), "a number")
                )
            raise
        return values / self.scale if self.scale != 1 else values

    def _plain_text(
        self, column: pa.ChunkedArray, name: str, file_rows: IntArray
    ) -> pa.ChunkedArray:
        """Return prices of text as numbers, or as text in the one form that is read as such."""
        if not self.is_decimal_comma:
            with contextlib.suppress(pa.ArrowInvalid):
                plain = column.cast(pa.float64())
                self._has_point = self._has_point or pc.any(pc.match_substring(column, ".")).as_py()
                return plain
        column = pc.utf8_ltrim(pc.utf8_trim_whitespace(column), CURRENCIES)
        has_gaps = pc.match_substring_regex(column, _GAPS)
        if pc.any(has_gaps).as_py():
            column = pc.if_else(has_gaps, pc.replace_substring_regex(column, _GAP, ""), column)
        if self.is_decimal_comma is None:
            self.is_decimal_comma = self._late_comma(column)
        if self.is_decimal_comma is None:
            return column
        is_decimal = self.is_decimal_comma
        kind = _DECIMAL_COMMA if is_decimal else _THOUSANDS
        as_before = pc.match_substring_regex(column, f"^(?:{kind.pattern})$")
        wrong = np.flatnonzero(~np.asarray(pc.fill_null(as_before, True).to_numpy(), dtype=bool))
        if len(wrong):
            row = int(wrong[0])
            expected = f"a number with a comma for {'decimals' if is_decimal else 'thousands'}"
            fault = Fault(
                int(file_rows[row]), name, repr(column[row].as_py()), f"{expected}, as above"
            )
            raise DataError(f"{self.where}: {fault}; write prices with a decimal point")
        if is_decimal:
            return pc.replace_substring(pc.replace_substring(column, ".", ""), ",", ".")
        return pc.replace_substring(column, ",", "")

    def _late_comma(self, column: pa.ChunkedArray) -> bool | None:
        """Return what the file's first comma is, behind the first rows; None: there is none here.

        No comma in ``999`` and ``1,001`` says that it is for thousands, none in ``100`` and
        ``100,5`` that it is decimal. Where a point was decimal before, a comma is not.
        """
        has_comma = pc.match_substring(column, ",")
        with_comma = [value for value in column.filter(has_comma).to_pylist() if value]
        others = column.filter(pc.invert(has_comma))
        self._has_point = self._has_point or pc.any(pc.match_substring(others, ".")).as_py()
        if not with_comma:
            return None
        if self._has_point or not all(map(_THOUSANDS.fullmatch, with_comma)):
            return not self._has_point
        whole = abs(float(with_comma[0].replace(",", "")))
        return 0 < self._first < whole / 1000**0.5  # by its ratio to either reading

    def _require_number(self, text: str, fault: Fault) -> None:
        try:
            pa.scalar(text).cast(pa.float64())
        except pa.ArrowInvalid as err:
            raise DataError(f"{self.where}: {fault}; fix that row") from err
