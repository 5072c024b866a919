"""Corrections of labels that a person made on the page of jobs.review."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field, ValidationError

from moola_core.data.span_lists import STARTS
from moola_core.data.window_checks import window_bars
from moola_core.errors import DataError
from moola_core.io.json_file import Written, read_json
from moola_core.spans.intervals import MAX_WINDOW_BARS, WINDOW_BARS

MAX_CORRECTIONS = 1_000_000
VISIBLE = 1 / 3  # a shifted copy shows at least so much of its span, as the labelled files do
CHANGED = ("expansion_start", "expansion_end", "label", "overlap_fraction")


class Correction(Written):
    """What was decided of one window; bars are half-open, of the window.

    Attributes:
        start, stop, label: what a change makes of it.
        was_start, was_stop: the span that was looked at, where the page has noted it.
    """

    window_id: str
    action: Literal["keep", "drop", "change"]
    start: int = Field(default=0, ge=0, lt=MAX_WINDOW_BARS)
    stop: int = Field(default=MAX_WINDOW_BARS, gt=0, le=MAX_WINDOW_BARS)
    label: str = ""
    was_start: int | None = None
    was_stop: int | None = None

    def is_whole(self, num_bars: int) -> bool:
        """Whether a changed span ends inside of its window, so that it is known whole."""
        return self.start > 0 and self.stop < num_bars


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
        raise DataError(
            f"{path}: no such file, expected corrections of jobs.review; save them there with W"
        ) from err
    except ValidationError as err:
        first = err.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "its start"
        raise DataError(
            f"{path}: {place}: {first['msg']}, expected a file saved by the page of jobs.review;"
            " save it again there with W"
        ) from err
    except (OSError, ValueError) as err:
        reason = " ".join(str(err).split())[:200]
        raise DataError(
            f"{path}: not readable, {reason}, expected corrections of jobs.review; save them again"
        ) from err
    seen: set[str] = set()
    for row, one in enumerate(found):
        if one.window_id in seen:
            raise DataError(
                f"{path}: correction {row}: expected each window once,"
                f" got {one.window_id!r} again; take one of them out"
            )
        seen.add(one.window_id)
        if one.action == "change" and (one.stop <= one.start or not one.label.strip()):
            raise DataError(
                f"{path}: correction {row}: expected start < stop and a label,"
                f" got {one.start}, {one.stop}, {one.label!r}; fix it on the page"
            )
    return found


def apply_corrections(
    table: pa.Table, corrections: list[Correction], where: str
) -> tuple[pa.Table, str]:
    """Return a table of windows (docs/data.md) without what was dropped, and what was done.

    Windows of the same base window show the same span: what was decided of one holds for those of
    which nothing was, if the span is whole in it; a copy that then shows too little of it goes.

    Raises:
        DataError: a correction is of a window that is not in the table, or has another span there;
            or windows may hold several.
    """
    if STARTS in table.column_names:
        raise DataError(
            f"{where}: windows that may hold several spans, expected one a window to correct;"
            " correct the list of spans, and make the windows again: jobs.windows --several"
        )
    by_id = {one.window_id: one for one in corrections}
    rows = {window_id: row for row, window_id in enumerate(table["window_id"].to_pylist())}
    columns = {name: table[name].to_pylist() for name in CHANGED}
    num_bars = WINDOW_BARS
    if "features" in table.column_names:
        num_bars = window_bars(table["features"])
    _require_same(by_id, rows, columns, where)
    _require_inside(corrections, num_bars, where)
    bases, offsets = table["base_window_id"].to_pylist(), table["offset"].to_pylist()
    leaders: dict[str, tuple[Correction, int]] = {}
    for window_id, said in by_id.items():
        row = rows[window_id]
        if said.action == "drop" or (said.action == "change" and said.is_whole(num_bars)):
            leaders.setdefault(bases[row], (said, offsets[row]))
    keep, changed = [], 0
    for window_id, row in rows.items():
        one = by_id.get(window_id)
        share = (
            1.0 if one is not None and one.is_whole(num_bars) else columns["overlap_fraction"][row]
        )
        if one is None and bases[row] in leaders:
            leader, offset = leaders[bases[row]]
            one, share = _moved(leader, offset - offsets[row], window_id, num_bars)
        keep.append(one is None or one.action != "drop")
        if one is not None and one.action == "change":
            values = (one.start, one.stop - 1, one.label.strip(), share)
            for name, value in zip(CHANGED, values, strict=True):
                columns[name][row] = value
            changed += 1
    for name, values in columns.items():
        place = table.column_names.index(name)
        table = table.set_column(
            place, table.schema.field(name), pa.array(values, table[name].type)
        )
    report = f"corrections: {changed} changed, {keep.count(False)} dropped"
    return table.filter(pa.array(keep)), report


def _moved(
    leader: Correction, shift: int, window_id: str, num_bars: int
) -> tuple[Correction, float]:
    """Return the same for a window that begins `shift` bars earlier, and the share it shows."""
    if leader.action == "drop":
        return Correction(window_id=window_id, action="drop"), 1.0
    start, stop = max(leader.start + shift, 0), min(leader.stop + shift, num_bars)
    share = (stop - start) / (leader.stop - leader.start)
    if share < VISIBLE:
        return Correction(window_id=window_id, action="drop"), 1.0
    moved = {"start": start, "stop": stop, "window_id": window_id}
    return leader.model_copy(update=moved), share


def _require_inside(corrections: list[Correction], num_bars: int, where: str) -> None:
    for number, one in enumerate(corrections):
        if one.action == "change" and one.stop > num_bars:
            raise DataError(
                f"{where}: correction {number}, window {one.window_id}: expected a stop of at most"
                f" {num_bars}, the bars of a window, got {one.stop};"
                " give the file that was reviewed"
            )


def _require_same(
    by_id: dict[str, Correction], rows: dict[str, int], columns: dict[str, list[Any]], where: str
) -> None:
    for number, (window_id, one) in enumerate(by_id.items()):
        cure = "give the file that was reviewed, or the same bars, spans and --seed"
        if window_id not in rows:
            raise DataError(
                f"{where}: correction {number}, window_id: expected a window of that file,"
                f" got {window_id!r}; {cure}"
            )
        row = rows[window_id]
        last = columns["expansion_end"][row]
        there = (columns["expansion_start"][row], None if last is None else last + 1)
        was = (one.was_start, one.was_stop)
        if None not in was and was != there:
            raise DataError(
                f"{where}: correction {number}, window {window_id}: expected the span"
                f" {was[0]} to {one.was_stop} (half-open) that was looked at,"
                f" got {there[0]} to {there[1]}; {cure}"
            )
