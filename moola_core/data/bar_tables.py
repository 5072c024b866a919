"""Tables of bars as files hold them: CSV of any kind, Parquet, Feather, Arrow IPC.

What a file is shows in its first bytes, not in its name. `open_table` gives its head, by which a
layout is chosen, and then the chosen columns piece by piece: of a text file as text, so that a
wrong value can be reported with its row.
"""

from __future__ import annotations

import contextlib
import csv
import json
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather
import pyarrow.parquet as pq

from moola_core.data.table_head import Head, choose_prices
from moola_core.data.text_table import HEAD_ROWS, open_text
from moola_core.errors import DataError

EXTERNAL_FORMATS = (
    (b"\x89HDF", "HDF5", "df.to_parquet()"),
    (b"SQLite format 3", "a SQLite data base", "DuckDB's COPY ... TO 'bars.parquet'"),
    (b"DBN", "Databento's DBN", "databento's DBNStore.to_parquet()"),
    (b"\xd0\xcf\x11\xe0", "an old Excel book", "Excel's Save as > CSV UTF-8"),
    (b"ORC", "ORC", "pyarrow.parquet.write_table(pyarrow.orc.read_table(FILE), 'bars.parquet')"),
    (b"\x93NUMPY", "an array of numpy", "polars' DataFrame.write_parquet(), with names"),
    (b"Obj\x01", "Avro", "polars' DataFrame.write_parquet()"),
    (b"[", "JSON", "pandas' DataFrame.to_csv() or DuckDB's COPY ... TO 'bars.parquet'"),
    (b'{"', "JSON", "pandas' DataFrame.to_csv() or DuckDB's COPY ... TO 'bars.parquet'"),
    (b"\x80\x04", "a pickle", "df.to_parquet()"),
    (b"\x80\x05", "a pickle", "df.to_parquet()"),
)
BUFFER_BYTES = 1 << 20  # of a column of a Parquet file

Read: TypeAlias = Callable[[list[int], int], Iterator[list[pa.ChunkedArray]]]


@dataclass(frozen=True)
class BarTable:
    """A file of bars before its meaning is known.

    Attributes:
        head: what a layout is chosen by.
        num_columns: how many columns the file has.
        kind: what the file is, for the report.
        delimiter: of a text; nothing of another file.
        read: yields the columns at these places, so many rows at a time, at least one row each.
    """

    head: Head
    num_columns: int
    kind: str
    read: Read
    delimiter: str = ""


def open_table(path: Path, symbol: str | None = None) -> BarTable:
    """Find out what a file is, and read its head.

    Raises:
        DataError: it is missing, or nothing that can be read.
    """
    if path.is_dir():
        raise DataError(
            f"{path}: a folder, expected a file of bars; join several:"
            " python -m jobs.bars FILES --out bars.parquet"
        )
    if not path.is_file():
        raise DataError(
            f"{path}: no such file, expected bars as CSV, Parquet, Feather or Arrow IPC;"
            " look at the path"
        )
    with path.open("rb") as file:
        start = file.read(16)
    for magic, what, cure in EXTERNAL_FORMATS:
        if start.startswith(magic) and (magic != b"[" or start[1:].lstrip()[:1] in (b"{", b"[")):
            raise DataError(
                f"{path}: {what}, expected CSV, Parquet, Feather or Arrow IPC; write it with {cure}"
            )
    if start[:4] in (b"PAR1", b"PARE") or path.suffix == ".parquet":
        return _open_parquet(path, symbol)
    if start[:6] == b"ARROW1" or start[:4] in (b"FEA1", b"\xff\xff\xff\xff"):
        return _open_arrow(path, start, symbol)
    if path.suffix in (".feather", ".arrow", ".ipc"):
        raise DataError(
            f"{path}: not readable, expected Arrow IPC, as the name says; rename or write it again"
        )
    return _open_text(path, symbol)


# What readers raise for a broken file; OSError has gzip's, ValueError has UnicodeDecodeError, and
# JSON that is nested too deeply a RecursionError.
BROKEN = (
    *(pa.ArrowException, OSError, ValueError, EOFError, OverflowError, IndexError, KeyError),
    *(zlib.error, lzma.LZMAError, zipfile.BadZipFile, csv.Error, NotImplementedError),
    RecursionError,
)


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn whatever a broken file makes a reader raise into one line."""
    try:
        yield
    except BROKEN as err:
        reason = " ".join(str(err).split())[:300]
        raise DataError(
            f"{path}: not readable, {reason}, expected a whole file; write or download it again"
        ) from err


def _parquet(path: Path) -> pq.ParquetFile:
    """Open a file so that of its columns no more is held than is read: by default all is."""
    return pq.ParquetFile(path, pre_buffer=False, buffer_size=BUFFER_BYTES)


def _open_parquet(path: Path, symbol: str | None) -> BarTable:
    with readable(path), _parquet(path) as file:
        schema = file.schema_arrow
        parts = _in_parts(file.iter_batches(HEAD_ROWS), HEAD_ROWS)
        head = _head(path, next(parts, schema.empty_table()), symbol)

    def read(columns: list[int], chunk_rows: int) -> Iterator[list[pa.ChunkedArray]]:
        names = [schema.names[i] for i in columns]
        with _parquet(path) as file:
            for part in _in_parts(file.iter_batches(chunk_rows, columns=names), chunk_rows):
                yield [part[name] for name in names]

    return BarTable(head, len(schema), "Parquet", read)


def read_arrow(path: Path, start: bytes) -> pa.Table:
    """Return the table in a file of Feather or Arrow IPC that begins with `start`."""
    schema, batches = _arrow_batches(path, start)
    table = pa.Table.from_batches(batches, schema)
    table.validate(full=True)
    return _plain_types(table)


def _arrow_batches(
    path: Path, start: bytes, columns: list[int] | None = None
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Return the schema of such a file, and its rows by batches as they were written.

    Of columns that are not named none is held; a file of Feather's first version is held whole.
    """
    if start[:4] == b"FEA1":
        table = pyarrow.feather.read_table(path, columns)
        return table.schema, iter(table.to_batches())
    options = pa.ipc.IpcReadOptions(included_fields=columns)
    source = pa.memory_map(str(path))
    if start[:6] != b"ARROW1":
        stream = pa.ipc.open_stream(source, options=options)
        return stream.schema, iter(stream)
    file = pa.ipc.open_file(source, options=options)
    return file.schema, (file.get_batch(i) for i in range(file.num_record_batches))


def _plain_types(table: pa.Table) -> pa.Table:
    """Return it without run ends, and with polars' views of strings as strings."""
    for i, name in enumerate(table.column_names):
        column = table.column(i)
        if pa.types.is_run_end_encoded(column.type):
            parts = [pc.run_end_decode(part) for part in column.chunks]
            column = pa.chunked_array(parts, column.type.value_type)
        kind = column.type
        if pa.types.is_dictionary(kind) and pa.types.is_string_view(kind.value_type):
            parts = [
                pa.DictionaryArray.from_arrays(part.indices, part.dictionary.cast(pa.string()))
                for part in column.chunks
            ]
            column = pa.chunked_array(parts, pa.dictionary(kind.index_type, pa.string()))
        elif pa.types.is_string_view(kind):
            column = column.cast(pa.string())
        if column.type != table.schema.field(i).type:
            table = table.set_column(i, name, column)
    return table


def _open_arrow(path: Path, start: bytes, symbol: str | None) -> BarTable:
    with readable(path):
        schema, batches = _arrow_batches(path, start)
        rows = next(_in_parts(batches, HEAD_ROWS), schema.empty_table())
        head = _head(path, rows, symbol)

    def read(columns: list[int], chunk_rows: int) -> Iterator[list[pa.ChunkedArray]]:
        chosen = sorted(set(columns))  # as they come
        for part in _in_parts(_arrow_batches(path, start, chosen)[1], chunk_rows):
            yield [part[chosen.index(i)] for i in columns]

    return BarTable(head, len(schema), "Arrow IPC", read)


def _in_parts(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Yield what batches of any size hold, so many rows at a time and none empty, in one piece."""
    held, count = list[pa.RecordBatch](), 0
    for batch in batches:
        batch.validate(full=True)
        held.append(batch)
        count += len(batch)
        if count >= rows:
            table = _joined(held)
            for first in range(0, count - rows + 1, rows):
                yield table.slice(first, rows)
            held, count = table.slice(count - count % rows).to_batches(), count % rows
    if count:
        yield _joined(held)


def _joined(batches: list[pa.RecordBatch]) -> pa.Table:
    return _plain_types(pa.Table.from_batches(batches)).combine_chunks()


def _open_text(path: Path, symbol: str | None) -> BarTable:
    with readable(path):
        text = open_text(path, symbol)
    return BarTable(text.head, text.num_columns, text.kind, text.read, text.shape.delimiter)


def _head(path: Path, rows: pa.Table, symbol: str | None) -> Head:
    times = [
        i
        for i, column in enumerate(rows.schema)
        if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)
    ]
    require_times(path, rows.schema)
    texts = [[str(value) for value in column.to_pylist()] for column in rows.columns]
    chosen = choose_prices(str(path), rows.schema.names, symbol)
    names = chosen or rows.schema.names
    return Head(str(path), names, list(zip(*texts, strict=True)), times, False, chosen is not None)


def require_times(path: Path, schema: pa.Schema) -> None:
    """Refuse times whose type names no zone that Python knows, as ``Z`` and Windows' names.

    Refuse pandas' periods of minutes and longer as well: their numbers count those since 1970.

    Raises:
        DataError: a column has such.
    """
    for field in schema:
        kind, said = extension_of(field)
        freq = json.loads(said)["freq"] if kind == "pandas.period" else ""
        if freq not in ("", "s", "ms", "us", "ns"):
            raise DataError(
                f"{path}: column {field.name}: pandas' periods ({freq}), expected times; cast them:"
                f" df[{field.name!r}].dt.to_timestamp()"
            )
        if not pa.types.is_timestamp(field.type):
            continue
        try:
            pa.array([0], pa.int64()).cast(field.type).to_pylist()
        except pa.ArrowInvalid as err:
            raise DataError(
                f"{path}: column {field.name}: times of zone {field.type.tz!r}, which is not known,"
                " expected one like UTC, +01:00 or America/New_York; cast it:"
                f" pyarrow.timestamp({field.type.unit!r}, 'UTC')"
            ) from err


def extension_of(field: pa.Field) -> tuple[str, bytes]:
    """Return the name of a column's extension type and what it says, whether it is loaded or not.

    Both are empty where there is none.
    """
    if isinstance(field.type, pa.BaseExtensionType):
        return field.type.extension_name, field.type.__arrow_ext_serialize__()
    noted: dict[bytes, bytes] = field.metadata or {}
    name, said = (noted.get(b"ARROW:extension:" + key, b"") for key in (b"name", b"metadata"))
    return name.decode(), said
