"""Tables in text files: any delimiter, compression and encoding, with a header or without.

What comes before the header (an address, ``sep=;``, lines with #) is passed over. Values stay text.
"""

from __future__ import annotations

import csv
import functools
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from moola_core.data.column_names import PRICE_NAMES
from moola_core.data.packed import is_packed, open_bytes, text_encoding
from moola_core.data.table_head import (
    Head,
    choose_prices,
    is_number,
    looks_like_time,
    normalise,
)
from moola_core.errors import DataError

BLOCK_BYTES = 1 << 22
HEAD_BYTES = 1 << 16
HEAD_ROWS = 20
HEADER_LINES = 12  # a header stands in the first so many lines
# "Downloaded from Barchart.com as of ...", (3 rows); one word may be a ticker of a row cut short
_FOOTER = re.compile(r'"?[^\W\d][^\s:]*[\s:]|\(')
ENCODINGS = {"utf-8": "utf8", "cp1252": "latin-1"}  # which knows all bytes; prices are ASCII
DELIMITERS = {
    ",": "comma",
    ";": "semicolon",
    "\t": "tab",
    "|": "bar",
    "^": "caret",
    "~": "tilde",
    " ": "blank",
}


@dataclass(frozen=True)
class _Shape:
    """How a text is a table.

    Attributes:
        delimiter: between values.
        skip: lines before the first row of values.
        names: of the columns; None without a header.
        tickers: of each column, where a second header row has them.
        is_chosen: whether the prices' names said the instrument.
        width: values a row.
    """

    delimiter: str
    skip: int
    names: list[str] | None
    tickers: list[str] | None
    width: int
    is_chosen: bool = False


@dataclass(frozen=True)
class TextTable:
    """A table in a text file; the same attributes as `moola_core.data.bar_tables.BarTable`."""

    path: Path
    head: Head
    num_columns: int
    kind: str
    encoding: str
    mark_bytes: int
    shape: _Shape

    def _cure(self) -> str:
        if self.shape.delimiter == " ":
            return "write one blank, or a comma, between values"
        return "is the file cut short? export it again, or fix that row"

    def read(self, columns: list[int], chunk_rows: int) -> Iterator[list[pa.ChunkedArray]]:
        """Yield the columns at these places as text.

        Raises:
            DataError: a row has more or fewer values than the first one.
        """
        del chunk_rows  # pyarrow cuts a text by bytes
        names = [str(i) for i in range(self.shape.width)]
        wanted = [names[i] for i in columns]
        read = pa.csv.ReadOptions(
            block_size=BLOCK_BYTES,
            column_names=names,
            skip_rows=self.shape.skip,
            use_threads=False,
            encoding=ENCODINGS.get(self.encoding, self.encoding),
        )
        convert = pa.csv.ConvertOptions(
            column_types=dict.fromkeys(wanted, pa.string()),
            include_columns=list(dict.fromkeys(wanted)),
            strings_can_be_null=True,
        )
        wrong, below = list[Any](), list[Any]()

        def refuse(row: Any) -> str:
            is_text = row.actual_columns == 1 and _FOOTER.match(row.text)
            (below if is_text else wrong).append(row)
            return "skip" if is_text else "error"

        parse = pa.csv.ParseOptions(
            delimiter=self.shape.delimiter, invalid_row_handler=refuse, newlines_in_values=False
        )
        with open_bytes(self.path) as stream:
            stream.read(self.mark_bytes)
            num_rows = 0
            try:
                for batch in self._batches(stream, read, parse, convert, wanted):
                    num_rows += len(batch[0])
                    yield batch
            except pa.ArrowInvalid as err:
                if not wrong:
                    raise
                raise wrong_width(self.path, wrong[0], self.shape.skip + 1, self._cure()) from err
        for i, row in enumerate(below):  # a line of text below the rows, not among them
            if num_rows > row.number - self.shape.skip - i - 1:
                raise wrong_width(self.path, row, self.shape.skip + 1, self._cure())

    def _batches(
        self, stream: Any, read: Any, parse: Any, convert: Any, wanted: list[str]
    ) -> Iterator[list[pa.ChunkedArray]]:
        options = {"read_options": read, "parse_options": parse, "convert_options": convert}
        with pa.csv.open_csv(pa.PythonFile(stream, "r"), **options) as reader:
            for batch in reader:
                columns = [batch.column(name) for name in wanted]
                if all(column.null_count for column in columns):  # rows of commas alone
                    there = functools.reduce(pc.or_, map(pc.is_valid, columns))
                    columns = [column.filter(there) for column in columns]
                if len(columns[0]):
                    yield [pa.chunked_array([column]) for column in columns]


def wrong_width(path: Path, row: Any, above: int, cure: str) -> DataError:
    """Return the error for a row that pyarrow refuses; `above` are the lines before the first."""
    number = "" if row.number is None else f" row {row.number - above}:"
    return DataError(
        f"{path}:{number} expected {row.expected_columns} values a row,"
        f" got {row.actual_columns}: {row.text[:60]!r}; {cure}"
    )


def open_text(path: Path, symbol: str | None = None) -> TextTable:
    """Find delimiter, header and encoding; `symbol` chooses among columns of several tickers.

    Raises:
        DataError: it is no table, or holds no row.
    """
    with open_bytes(path) as stream:
        start = stream.read(HEAD_BYTES)
    encoding, mark_bytes = text_encoding(start)
    start = start[mark_bytes:]
    if encoding == "utf-8" and b"\0" in start:
        raise DataError(
            f"{path}: not readable, neither text nor a table of a known kind, expected CSV,"
            " Parquet, Feather or Arrow IPC; write it as one of them"
        )
    is_all = len(start) + mark_bytes < HEAD_BYTES
    text = start.decode(encoding, errors="replace")
    if encoding == "utf-8" and "\ufffd" in text[:-3]:
        encoding = "cp1252"  # as Excel writes it in the West
        text = start.decode(encoding, errors="replace")
    if not is_all and "\n" in text:
        text = text[: text.rindex("\n")]
    lines = text.splitlines()
    shape, rows = _shape(path, lines, symbol)
    names = shape.names
    head = Head(str(path), names, rows, (), shape.tickers is not None, shape.is_chosen)
    kind = f"{DELIMITERS[shape.delimiter]}-separated text"
    extra = ("" if encoding == "utf-8" else f", {encoding}") + (", compressed" * is_packed(path))
    return TextTable(path, head, shape.width, kind + extra, encoding, mark_bytes, shape)


def _shape(path: Path, lines: list[str], symbol: str | None) -> tuple[_Shape, list[list[str]]]:
    best: tuple[int, _Shape, list[list[str]]] | None = None
    for delimiter in DELIMITERS:
        parsed = [_split(line, delimiter) for line in lines[: HEADER_LINES + HEAD_ROWS]]
        chosen = [choose_prices(str(path), row, symbol) for row in parsed[:HEADER_LINES]]
        parsed = [a or b for a, b in zip_longest(chosen, parsed)]
        header = _find_header(parsed[:HEADER_LINES])
        if header is not None:
            candidate = _with_header(delimiter, parsed, header, symbol)
            is_chosen = chosen[header] is not None
            candidate = replace(candidate[0], is_chosen=is_chosen), candidate[1]
        else:
            bare = _without_header(delimiter, parsed)
            if bare is None:
                continue
            candidate = bare
        width = candidate[0].width
        score = (1000 if header is not None else 0) + min(width, 400)
        # blanks about the commas of a header are no delimiter of what is below it
        score += 500 * all(len(row) == width for row in candidate[1])
        if best is None or score > best[0]:
            best = (score, *candidate)
    if best is None:
        shown = next((line for line in lines if line.strip()), "")
        if not shown:
            raise DataError(f"{path}: holds no bar, expected at least 1 row; export it again")
        if missing := _almost_header(lines):
            raise DataError(
                f"{path}: column {missing} is missing, expected open, high, low, close"
                f" (and timestamp, if known), got {shown[:200]}; rename it"
            )
        is_row = sum(map(is_number, re.split("[,;|\t]", shown))) > 3
        cure = "name its columns in a line above" if is_row else "rename its columns"
        raise DataError(
            f"{path}: no table of bars, expected a header with open, high, low, close, or a time"
            f" and then those four as numbers, got {shown[:60]!r}; {cure}"
            f"{'' if shown.isascii() else ', or save it as UTF-8'}"
        )
    return best[1], best[2]


def _split(line: str, delimiter: str) -> list[str]:
    row = next(csv.reader(io.StringIO(line), delimiter=delimiter, skipinitialspace=True), [])
    return [value.strip() for value in row]


def _find_header(rows: list[list[str]]) -> int | None:
    for i, row in enumerate(rows):
        names = {normalise(value) for value in row}
        if all(names & set(known) for known in PRICE_NAMES.values()):
            return i
    return None


def _almost_header(lines: list[str]) -> str:
    """Return the first price that a line lacks which names some others."""
    for line in lines[:HEADER_LINES]:
        for delimiter in DELIMITERS:
            names = {normalise(value) for value in _split(line, delimiter)}
            there = [price for price, known in PRICE_NAMES.items() if names & set(known)]
            if len(there) >= 2:
                return next(price for price in PRICE_NAMES if price not in there)
    return ""


def _with_header(
    delimiter: str, rows: list[list[str]], header: int, symbol: str | None
) -> tuple[_Shape, list[list[str]]]:
    names, first, tickers = list(rows[header]), header + 1, None
    first_names = [row[0].lower() if row else "" for row in rows[: first + 2]]
    if first_names[header] == "price" and first_names[first : first + 1] == ["ticker"]:
        tickers = rows[first]  # yfinance; its third row names the times alone
        first += 1
    elif first_names[header] == "price" and first_names[header - 1 : header] == ["ticker"]:
        tickers = rows[header - 1]  # grouped by ticker
    if tickers is None and first < len(rows) and _are_words(rows[first]):
        tickers = rows[first]  # the same behind reset_index(): the first column has its own name
        first += 1
    elif tickers is not None:
        names[0] = ""  # the first of a header row names the row itself
        if first < len(rows) and not any(rows[first][1:]):
            names[0] = rows[first][0]
            first += 1
    if tickers is not None and symbol is not None:
        names = [
            name if i == 0 or tickers[i] == symbol else f"{name} of {tickers[i]}"
            for i, name in enumerate(names)
        ]
    values = [
        row for row in rows[first:] if len(row) > 1 or (any(row) and not _FOOTER.match(row[0]))
    ]
    width = len(values[0]) if values else len(names)
    if width == len(names) + 1:  # a trailing delimiter, or names of rows that have no name (R)
        names = [*names, "_"] if not values[0][-1] else ["", *names]
    return _Shape(delimiter, first, names, tickers, len(names)), values[:HEAD_ROWS]


def _are_words(row: list[str]) -> bool:
    """Return whether a row has words alone behind an empty first value."""
    return len(row) > 1 and not row[0] and all(one and not is_number(one) for one in row[1:])


def _without_header(delimiter: str, rows: list[list[str]]) -> tuple[_Shape, list[list[str]]] | None:
    for i, row in enumerate(rows[:HEADER_LINES]):
        numbers = sum(is_number(value.replace(",", ".")) for value in row)
        if numbers >= 4 and (looks_like_time(row[0]) or numbers == len(row)):
            before = [one for one in rows[:i] if any(one)]
            if not all(one[0].startswith(("#", "sep=")) for one in before):
                return None  # a header that lacks a name, not a line to pass over
            values = [one for one in rows[i:] if any(one)]
            return _Shape(delimiter, i, None, None, len(row)), values[:HEAD_ROWS]
    return None
