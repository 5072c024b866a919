"""Prices of bars from columns of any type: text, floats, integers, decimals, fixed point."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from moola_core.data.layout_choice import Columns
from moola_core.data.layouts import PRICES
from moola_core.data.window_checks import Fault
from moola_core.errors import DataError
from moola_core.spans.intervals import FloatArray

FIXED_POINT = 1e9
_DECIMAL_COMMA = re.compile(r"[+-]?\d[\d.]*,\d+")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")


class PriceReader:
    """How a file's prices become float64.

    Attributes:
        scale: what a whole number is divided by: 1e9 where the layout counts in units of 1e-9.
    """

    def __init__(
        self, where: str, columns: Columns, names: Sequence[str], rows: Sequence[Sequence[str]]
    ) -> None:
        self.where = where
        self.names = dict(zip(PRICES, (names[i] for i in columns.prices), strict=True))
        shown = [row[i] for row in rows for i in columns.prices if i < len(row)]
        is_whole = all(
            re.fullmatch(r"-?\d+", value) for value in shown if value not in ("", "None")
        )
        self.scale = FIXED_POINT if columns.layout.fixed_point and is_whole else 1.0
        self.has_comma = any("," in value for value in shown)
        self.is_decimal_comma = self.has_comma and not all(
            _THOUSANDS.fullmatch(value) for value in shown if "," in value
        )

    def read(self, columns: Sequence[pa.ChunkedArray], first_row: int) -> FloatArray:
        """Return ``(T, 4)`` of the columns open, high, low, close.

        Raises:
            DataError: a value is missing or no number.
        """
        prices = [
            self._read(column, name, first_row)
            for column, name in zip(columns, PRICES, strict=True)
        ]
        return np.stack(prices, axis=1)

    def _read(self, column: pa.ChunkedArray, price: str, first_row: int) -> FloatArray:
        name = price if self.names[price].isdigit() else self.names[price]
        is_null = np.asarray(pc.is_null(column).to_numpy(), dtype=bool)
        if is_null.any():
            row = int(np.argmax(is_null)) + first_row
            raise DataError(f"{self.where}: {Fault(row, name, 'nothing', 'a number')}")
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        kind = column.type
        if pa.types.is_string_view(kind):
            column, kind = column.cast(pa.string()), pa.string()
        is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        is_number = (
            pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
        )
        if not (is_text or is_number):
            raise DataError(f"{self.where}: column {name}: expected numbers, got {kind}")
        if is_text:
            column = self._plain_text(column)
        try:
            values = column.cast(pa.float64(), safe=not pa.types.is_integer(kind)).to_numpy()
        except pa.ArrowInvalid:
            for row, value in enumerate(column.to_pylist()):
                self._require_number(value, Fault(row + first_row, name, repr(value), "a number"))
            raise
        return values / self.scale if self.scale != 1 else values

    def _plain_text(self, column: pa.ChunkedArray) -> pa.ChunkedArray:
        column = pc.utf8_trim_whitespace(column)
        if self.is_decimal_comma:
            column = pc.replace_substring(pc.replace_substring(column, ".", ""), ",", ".")
        elif self.has_comma:
            column = pc.replace_substring(column, ",", "")
        return column

    def _require_number(self, text: str, fault: Fault) -> None:
        try:
            pa.scalar(text).cast(pa.float64())
        except pa.ArrowInvalid as err:
            raise DataError(f"{self.where}: {fault}") from err
