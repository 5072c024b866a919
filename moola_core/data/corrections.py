"""Corrections of labels that a person made on the page of jobs.review."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pyarrow as pa
from pydantic import Field, ValidationError

from moola_core.errors import DataError
from moola_core.io.json_file import Written, read_json
from moola_core.spans.intervals import WINDOW_BARS

MAX_CORRECTIONS = 1_000_000


class Correction(Written):
    """What was decided of one window; `start` and `stop` are half-open bars of it."""

    window_id: str
    action: Literal["keep", "drop", "change"]
    start: int = Field(default=0, ge=0, lt=WINDOW_BARS)
    stop: int = Field(default=WINDOW_BARS, gt=0, le=WINDOW_BARS)
    label: str = ""


class Corrections(Written):
    """The file that the page saves."""

    corrections: list[Correction] = Field(max_length=MAX_CORRECTIONS)


def read_corrections(path: Path) -> list[Correction]:
    """Return what a file of corrections says.

    Raises:
        DataError: it is missing or not such a file.
    """
    try:
        found = read_json(path, Corrections).corrections
    except FileNotFoundError as err:
        raise DataError(f"{path}: no such file, expected corrections of jobs.review") from err
    except ValidationError as err:
        first = err.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DataError(
            f"{path}: {place}: {first['msg']}, expected a file saved by the page of jobs.review"
        ) from err
    except (OSError, ValueError) as err:
        raise DataError(f"{path}: not readable, {' '.join(str(err).split())[:200]}") from err
    for row, one in enumerate(found):
        if one.action == "change" and (one.stop <= one.start or not one.label.strip()):
            raise DataError(
                f"{path}: correction {row}: expected start < stop and a label,"
                f" got {one.start}, {one.stop}, {one.label!r}"
            )
    return found


def apply_corrections(
    table: pa.Table, corrections: list[Correction], where: str
) -> tuple[pa.Table, str]:
    """Return a table of windows (docs/data.md) without what was dropped, and what was done.

    Raises:
        DataError: a correction is of a window that is not in the table.
    """
    by_id = {one.window_id: one for one in corrections}
    ids = table["window_id"].to_pylist()
    unknown = [window_id for window_id in by_id if window_id not in set(ids)]
    if unknown:
        raise DataError(
            f"{where}: window {unknown[0]} is not there, expected those of the file that was"
            " reviewed; give the same bars, spans and --seed"
        )
    columns = {
        name: table[name].to_pylist() for name in ("expansion_start", "expansion_end", "label")
    }
    keep, changed = [], 0
    for row, window_id in enumerate(ids):
        one = by_id.get(window_id)
        keep.append(one is None or one.action != "drop")
        if one is not None and one.action == "change":
            values = (one.start, one.stop - 1, one.label.strip())
            for name, value in zip(columns, values, strict=True):
                columns[name][row] = value
            changed += 1
    for name, values in columns.items():
        place = table.column_names.index(name)
        table = table.set_column(
            place, table.schema.field(name), pa.array(values, table[name].type)
        )
    said = f"corrections: {changed} changed, {keep.count(False)} dropped"
    return table.filter(pa.array(keep)), said
