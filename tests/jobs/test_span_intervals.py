"""Spans as intervals in one column: what pandas writes of them, and polars' structs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from moola_core.data.windows import read_windows
from tests.jobs.span_lists import FIRST, SPANS, run, write_bars

pd = pytest.importorskip("pandas")
CLOSED = ("left", "right", "both", "neither")
EXTENSION = {b"ARROW:extension:name": b"pandas.interval"}


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bars(tmp_path_factory.mktemp("bars"))


def frame(kind: str, closed: str) -> Any:
    """Return spans as pandas' index of intervals, of times, of times with a zone, or of bars."""
    ends = np.array([[start, stop] for start, stop, _ in SPANS])
    if kind == "bars":
        index = pd.IntervalIndex.from_arrays(*ends.T, closed=closed)
    else:
        times = pd.DatetimeIndex((FIRST + 60 * ends.ravel()).astype("datetime64[s]"), tz="UTC")
        times = times.tz_localize(None) if kind == "times" else times.tz_convert("Asia/Tokyo")
        index = pd.IntervalIndex.from_arrays(times[::2], times[1::2], closed=closed)
    return pd.DataFrame({"label": [word for *_, word in SPANS]}, index=index)


def inside(closed: str) -> list[list[int]]:
    """Return the first bar and the one behind the last that pandas finds in each interval."""
    found = []
    for interval in frame("bars", closed).index:
        within = [bar for bar in range(2000) if bar in interval]
        found.append([within[0], within[-1] + 1])
    return found


def spans_in(out: Path) -> list[list[int]]:
    windows, faults = read_windows(out)
    assert faults == []
    assert [windows.labels[kind] for kind in windows.types] == [word for *_, word in SPANS]
    first = (windows.start_time // 10**9 - FIRST) // 60
    spans: list[list[int]] = (windows.spans + first[:, None]).tolist()
    return spans


@pytest.mark.parametrize("closed", ["left", "right"])
@pytest.mark.parametrize("kind", ["times", "zone", "bars"])
def test_an_index_of_intervals_as_text_has_the_bars_that_pandas_finds_in_it(
    bars: Path, tmp_path: Path, kind: str, closed: str
) -> None:
    frame(kind, closed).to_csv(tmp_path / "s.csv")
    code, out = run(bars, tmp_path / "s.csv")
    assert code == 0
    assert spans_in(out) == inside(closed)


@pytest.mark.parametrize("closed", CLOSED)
@pytest.mark.parametrize("kind", ["times", "zone", "bars"])
@pytest.mark.parametrize("suffix", ["parquet", "feather"])
def test_pandas_own_type_says_which_ends_are_inside(
    bars: Path, tmp_path: Path, kind: str, closed: str, suffix: str
) -> None:
    path = tmp_path / f"s.{suffix}"
    table = frame(kind, closed)
    if suffix == "feather":  # which has no index; Parquet writes it as the last column
        table = table.rename_axis("interval").reset_index()
    getattr(table, f"to_{suffix}")(path)
    code, out = run(bars, path)
    assert code == 0
    assert spans_in(out) == inside(closed)


@pytest.mark.parametrize("closed", CLOSED)
def test_the_same_is_read_where_pandas_is_not_loaded(
    bars: Path, tmp_path: Path, closed: str
) -> None:
    starts, stops, words = (pa.array(list(part)) for part in zip(*SPANS, strict=True))
    column = pa.StructArray.from_arrays([starts, stops], ["left", "right"])
    state = b'{"subtype": "int64", "closed": "%s"}' % closed.encode()
    field = pa.field("x", column.type, metadata={**EXTENSION, b"ARROW:extension:metadata": state})
    schema = pa.schema([field, pa.field("label", pa.string())])
    pq.write_table(pa.table([column, words], schema=schema), tmp_path / "s.parquet")
    code, out = run(bars, tmp_path / "s.parquet")
    assert code == 0
    assert spans_in(out) == inside(closed)


@pytest.mark.parametrize(("ends", "closed"), [("inclusive", "both"), ("half-open", "left")])
@pytest.mark.parametrize("kind", ["struct", "list"])
def test_a_pair_that_does_not_say_it_needs_the_option(
    bars: Path,
    tmp_path: Path,
    kind: str,
    ends: str,
    closed: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / ("s.parquet" if kind == "struct" else "s.csv")
    if kind == "struct":  # as polars has it
        rows = [{"span": {"start": a, "end": b}, "label": word} for a, b, word in SPANS]
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        frame("bars", "both").to_csv(path)
    assert run(bars, path)[0] == 10
    assert "is the bar at the end inside its span?" in capsys.readouterr().err
    code, out = run(bars, path, "--ends", ends)
    assert code == 0
    assert spans_in(out) == inside(closed)


@pytest.mark.parametrize("kind", ["text", "objects", "polars"])
def test_json_of_them_is_read(bars: Path, tmp_path: Path, kind: str) -> None:
    table, path = frame("zone", "right").rename_axis("interval").reset_index(), tmp_path / "s.json"
    options, closed = list[str](), "right"
    if kind == "polars":
        rows = [{"span": {"start": a, "end": b}, "label": word} for a, b, word in SPANS]
        path.write_text(json.dumps(rows))
        options, closed = ["--ends", "half-open"], "left"
    else:
        table["interval"] = table["interval"].astype(str if kind == "text" else object)
        table.to_json(path, orient="records")
    code, out = run(bars, path, *options)
    assert code == 0
    assert spans_in(out) == inside(closed)


def test_beside_starts_and_ends_an_interval_is_a_note(bars: Path, tmp_path: Path) -> None:
    rows = [f'{a},{b},"[1, 2)",{word}' for a, b, word in SPANS]
    (tmp_path / "s.csv").write_text("\n".join(["start,end,note,label", *rows, ""]))
    code, out = run(bars, tmp_path / "s.csv", "--ends", "half-open")
    assert code == 0
    assert spans_in(out) == inside("left")


def test_ends_within_a_bar_mean_that_bar(bars: Path, tmp_path: Path) -> None:
    """As in columns start and end; an open start leaves out a bar that opens there, no other."""
    table = frame("times", "right")
    table.index = pd.IntervalIndex.from_arrays(
        table.index.left + pd.Timedelta("30s"), table.index.right + pd.Timedelta("30s")
    )
    table.to_csv(tmp_path / "s.csv")
    code, out = run(bars, tmp_path / "s.csv")
    assert code == 0
    assert spans_in(out) == [[a, b + 1] for a, b, _ in SPANS]


def test_bars_stamped_at_their_close_are_those_that_close_in_it(bars: Path, tmp_path: Path) -> None:
    frame("times", "right").to_csv(tmp_path / "s.csv")
    code, out = run(bars, tmp_path / "s.csv", "--span-stamp", "close")
    assert code == 0
    assert spans_in(out) == [[a, b] for a, b, _ in SPANS]


def test_a_unit_in_the_name_is_that_of_its_ends(bars: Path, tmp_path: Path) -> None:
    lines = [f'"[{60_000 * a}, {60_000 * b})",{word}' for a, b, word in SPANS]
    (tmp_path / "s.csv").write_text("\n".join(["interval_ms,label", *lines, ""]))
    code, out = run(bars, tmp_path / "s.csv")
    assert code == 0
    assert spans_in(out) == inside("left")


EXPECTED = "row 1, column x: expected an interval like [a, b), as above, got"
ROWS = {
    "a pair": ('"(10, 20)",up', "column x: '(10, 20)' may be a pair or an interval without its"),
    "mixed": ('"[10, 20)",up\n"(30, 40]",up', f"{EXPECTED} '(30, 40]'"),
    "another": ('"[10, 20)",up\n30,up', f"{EXPECTED} '30'"),
    "half a bar": ('"[0.5, 20.5)",up', "row 0, column start: expected a whole bar number, got 0.5"),
}


@pytest.mark.parametrize(("rows", "says"), ROWS.values(), ids=ROWS)
def test_what_is_not_clear_is_one_line(
    bars: Path, tmp_path: Path, rows: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.csv").write_text(f"x,label\n{rows}\n")
    assert run(bars, tmp_path / "s.csv")[0] == 10
    (line,) = (one for one in capsys.readouterr().err.splitlines() if "error" in one)
    assert says in line


def test_brackets_are_not_overruled_and_of_two_columns_none_is_chosen(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame("times", "left").to_csv(tmp_path / "s.csv")
    assert run(bars, tmp_path / "s.csv", "--ends", "inclusive")[0] == 10
    assert "intervals with the brackets [) say themselves" in capsys.readouterr().err
    assert run(bars, tmp_path / "s.csv", "--ends", "half-open")[0] == 0
    table = frame("times", "left")
    table["price"] = frame("bars", "left").index
    table.to_csv(tmp_path / "s.csv")
    assert run(bars, tmp_path / "s.csv")[0] == 10
    assert "columns (no name), price: intervals, expected them in one" in capsys.readouterr().err


def test_a_row_without_an_interval_marks_none(bars: Path, tmp_path: Path) -> None:
    table = frame("times", "left")
    (tmp_path / "s.csv").write_text(table.to_csv() + ",up\n")
    code, out = run(bars, tmp_path / "s.csv")
    assert code == 0
    assert spans_in(out) == inside("left")
