"""A sheet of an Excel workbook as a table, by openpyxl where it is installed."""

from __future__ import annotations

import datetime as dt
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from moola_core.data.table_head import END_SERIAL, FIRST_SERIAL
from moola_core.errors import DataError

HEADER_ROWS = 12  # names stand in the first so many rows that are not empty


def is_excel(path: Path) -> bool:
    """Return whether a file is a book of Excel 2007 or later."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return "[Content_Types].xml" in archive.namelist()


def read_excel(path: Path, is_wanted: Callable[[list[str]], bool]) -> pa.Table:
    """Return a sheet: names from its first row that has wanted ones, values as text or times.

    It is the first one with such a row, such as TradingView's list of trades behind the sheets of
    its report; else the first, with names from its first row that is not empty.

    Raises:
        DataError: openpyxl is not installed, or the sheet is empty.
    """
    try:
        import openpyxl  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ImportError as err:
        raise DataError(
            f"{path}: an Excel workbook needs the package openpyxl, expected it to be installed;"
            " pip install openpyxl, or in Excel: Save as > CSV UTF-8"
        ) from err
    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    try:
        sheets = [_rows(sheet) for sheet in book.worksheets]
        since = book.epoch
    finally:
        book.close()
    wanted = (
        rows[i:]
        for rows in sheets
        for i in range(min(len(rows), HEADER_ROWS))
        if is_wanted(_names(rows[i]))
    )
    rows = next(wanted, sheets[0])
    if not rows:
        raise DataError(
            f"{path}: the first sheet holds nothing, expected a table of spans; put it first"
        )
    names = _names(rows[0])
    columns = [
        _column([row[i] if i < len(row) else None for row in rows[1:]], since)
        for i in range(len(names))
    ]
    return pa.Table.from_arrays(columns, names=names)


def _rows(sheet: Any) -> list[list[Any]]:
    rows = [list(row) for row in sheet.iter_rows(values_only=True)]
    return [row for row in rows if any(value is not None for value in row)]


def _names(row: list[Any]) -> list[str]:
    return ["" if name is None else str(name) for name in row]


def _column(values: list[Any], since: dt.datetime) -> pa.Array:
    if _are_days(values):
        from openpyxl.utils.datetime import (  # type: ignore[import-untyped, import-not-found, unused-ignore]
            from_excel,
        )

        values = [None if value is None else from_excel(value, since) for value in values]
    if all(isinstance(value, dt.datetime | None) for value in values) and any(values):
        return pa.array(values, pa.timestamp("us"))
    return pa.array([_text(value) for value in values], pa.string())


def _are_days(values: list[Any]) -> bool:
    """Return whether numbers count days, as times do in cells whose format shows numbers."""
    there = [value for value in values if value is not None]
    are_numbers = all(type(value) in (int, float) for value in there)
    has_part = are_numbers and any(value % 1 for value in there)
    return has_part and all(FIRST_SERIAL <= value < END_SERIAL for value in there)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
