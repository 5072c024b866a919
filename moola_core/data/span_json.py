"""Lists of spans in JSON: Label Studio's exports, rows of a table, one row a line."""

from __future__ import annotations

import json
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa

from moola_core.data.interval_column import interval_text
from moola_core.data.label_studio import is_export, regions_of_tasks
from moola_core.data.raw_spans import RawSpans
from moola_core.data.span_columns import of_regions, of_table
from moola_core.data.span_names import are_names
from moola_core.errors import DataError


def of_json(path: Path, text: str) -> RawSpans:
    """Return Label Studio's regions, rows of a table, or of an object that holds such rows alone.

    Raises:
        DataError: it is other JSON.
    """
    content = _json(text)
    regions = regions_of_tasks(content)
    if regions or is_export(content):
        return of_regions(path, regions)
    if isinstance(content, dict):
        content = _rows_in(content)
    if isinstance(content, list) and all(map(_is_triple, content)):
        content = [dict(zip(("start", "end", "label"), one, strict=False)) for one in content]
    if isinstance(content, list) and any(_is_row(one) for one in content):
        return _of_rows(path, content)
    raise DataError(
        f"{path}: JSON that is {_shape(content)}, expected a list of rows, each with start, end and"
        " label, or Label Studio's export of a time series; write that list alone, with pandas"
        " to_json(orient='records')"
    )


def _rows_in(content: dict[str, Any]) -> Any:
    """Return the rows in an object, in whichever way pandas or a program has it; else the same."""
    values = list(content.values())
    if not any(map(_is_nested, values)):
        return [content]  # a span alone
    if all(map(_is_row, values)):
        return values  # orient="index"
    if are_names(list(content)) and all(isinstance(one, dict) for one in values):
        return [{name: content[name].get(key) for name in content} for key in values[0]]
    if are_names(list(content)) and all(isinstance(one, list) for one in values):
        return [dict(zip(content, row, strict=False)) for row in zip_longest(*values)]
    if isinstance(content.get("columns"), list) and isinstance(content.get("data"), list):
        return [dict(zip(content["columns"], row, strict=False)) for row in content["data"]]
    # What stands beside the rows may say how they are meant, as a unit does; but pandas' types of
    # orient="table".
    held = [one for key, one in content.items() if key != "schema"]
    return held[0] if len(held) == 1 and isinstance(held[0], list) else content


def _shape(content: Any) -> str:
    """Return in words what JSON holds."""
    if isinstance(content, dict):
        return f"an object of {', '.join(map(repr, list(content)[:5])) or 'nothing'}"
    if not isinstance(content, list):
        return f"{str(content)[:20]!r}"
    if not content:
        return "an empty list"
    if isinstance(content[0], dict | list):
        return f"a list of {'objects' if isinstance(content[0], dict) else 'lists'}"
    return "a list of values"


def _json(text: str) -> Any:
    """Return what JSON says; of JSON a line, the list of all."""
    lines = text.splitlines()
    if len(lines) > 1 and all(line.startswith("{") and line.endswith("}") for line in lines):
        return [json.loads(line) for line in lines]
    return json.loads(text)


def _is_nested(value: Any) -> bool:
    return isinstance(value, list | dict)


def _is_triple(value: Any) -> bool:
    """Return whether it is a list of start and end, or of these and a label."""
    is_one = isinstance(value, list) and 2 <= len(value) <= 3
    return is_one and interval_text(value[:2]) is not None


def _is_row(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    names = [name for name, cell in value.items() if not _is_nested(cell)]
    return are_names(names) or any(interval_text(cell, name) for name, cell in value.items())


def _of_rows(path: Path, rows: list[Any]) -> RawSpans:
    """Rows of a table as JSON, as pandas writes them with ``orient="records"``."""
    names = dict.fromkeys(name for row in rows if isinstance(row, dict) for name in row)
    columns = {
        name: [row.get(name) if isinstance(row, dict) else None for row in rows] for name in names
    }
    texts = {
        name: pa.array([_cell(value) for value in column], pa.string())
        for name, column in columns.items()
    }
    return of_table(path, pa.table(texts))


def _cell(value: Any) -> str | None:
    """Return a value as text; a list of one, such as Grafana's tags, as what it holds.

    Of several words none is the type, as in Label Studio's.
    """
    value = interval_text(value) or value
    if isinstance(value, list) and (len(value) < 2 or isinstance(value[0], str)):
        value = value[0] if len(value) == 1 else None
    return None if value is None else str(value)
