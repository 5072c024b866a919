from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from moola_core.data.window_checks import summarise_faults
from moola_core.data.windows import read_windows
from moola_core.errors import DataError

Row = dict[str, Any]


def _set(key: str, value: Any) -> Callable[[Row], None]:
    return lambda row: row.__setitem__(key, value)


def _set_price(bar: int, column: int, value: float) -> Callable[[Row], None]:
    return lambda row: row["features"][bar].__setitem__(column, value)


FAULTS: list[tuple[str, Callable[[Row], None], str]] = [
    (
        "nan",
        _set_price(7, 3, float("nan")),
        "column features: expected finite prices, got nan in bar 7",
    ),
    ("infinite", _set_price(0, 1, float("inf")), "expected finite prices, got inf in bar 0"),
    ("high", _set_price(9, 1, 1.0), "expected high >= max(open, close)"),
    ("low", _set_price(9, 2, 1e6), "expected low <= min(open, close)"),
    ("short", lambda row: row["features"].pop(), "expected 105 bars, got 104 bars"),
    (
        "no close",
        lambda row: row["features"][4].pop(),
        "expected 4 values a bar, got 3 values in bar 4",
    ),
    ("null bars", _set("features", None), "column features: expected a value, got null"),
    (
        "early",
        _set("expansion_start", -1),
        "column expansion_start: expected a bar in 0..104, got -1",
    ),
    ("late", _set("expansion_end", 105), "column expansion_end: expected a bar in 0..104, got 105"),
    (
        "reversed",
        _set("expansion_end", 0),
        "column expansion_end: expected at least expansion_start",
    ),
    ("label", _set("label", " "), "expected a word for what went before, got ' '"),
    ("share", _set("overlap_fraction", 1.5), "expected a share in (0, 1], got 1.5"),
    ("no id", _set("window_id", None), "column window_id: expected a value, got null"),
]


@pytest.fixture
def rows(labelled_file: Path) -> list[Row]:
    taken: list[Row] = pq.read_table(labelled_file).slice(0, 6).to_pylist()
    for row in taken:
        row["expansion_start"] = max(row["expansion_start"], 1)
        row["expansion_end"] = max(row["expansion_end"], 1)
    return taken


def _write(path: Path, rows: list[Row], schema: pa.Schema) -> Path:
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return path


def test_windows_are_read_as_they_were_written(labelled_file: Path) -> None:
    windows, faults = read_windows(labelled_file)
    rows = pq.read_table(labelled_file).to_pylist()
    assert faults == []
    assert windows.bars.shape == (60, 105, 4)
    assert (windows.bars[3] == np.array(rows[3]["features"])).all()
    assert windows.spans[3].tolist() == [rows[3]["expansion_start"], rows[3]["expansion_end"] + 1]
    start = pq.read_table(labelled_file)["start_timestamp"].cast(pa.int64())
    assert windows.start_time.tolist() == start.to_pylist()


@pytest.mark.parametrize(
    ("change", "expected"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS]
)
def test_a_faulty_row_is_refused_by_name_and_left_out_on_request(
    tmp_path: Path,
    labelled_file: Path,
    rows: list[Row],
    change: Callable[[Row], None],
    expected: str,
) -> None:
    change(rows[2])
    path = _write(tmp_path / "bad.parquet", rows, pq.read_schema(labelled_file))
    with pytest.raises(DataError) as caught:
        read_windows(path)
    assert str(caught.value).startswith(f"{path}: row 2, column ")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    windows, faults = read_windows(path, skip_bad=True)
    assert (len(windows), len(faults)) == (5, 1)
    assert summarise_faults(faults).startswith("left out 1 rows: 1 x ")


def test_a_repeated_id_is_a_fault(tmp_path: Path, labelled_file: Path, rows: list[Row]) -> None:
    rows[4]["window_id"] = rows[0]["window_id"]
    path = _write(tmp_path / "bad.parquet", rows, pq.read_schema(labelled_file))
    with pytest.raises(DataError, match="row 4, column window_id: expected each id once"):
        read_windows(path)


@pytest.mark.parametrize("name", ["features", "label", "expansion_end"])
def test_a_missing_column_is_named(tmp_path: Path, labelled_file: Path, name: str) -> None:
    path = tmp_path / "bad.parquet"
    pq.write_table(pq.read_table(labelled_file).drop_columns([name]), path)
    with pytest.raises(DataError, match=f"column {name} is missing, expected features, label"):
        read_windows(path)


def test_a_column_of_a_wrong_type_is_named(tmp_path: Path, labelled_file: Path) -> None:
    table = pq.read_table(labelled_file)
    text = pa.array(["3"] * len(table))
    index = table.column_names.index("expansion_start")
    path = tmp_path / "bad.parquet"
    pq.write_table(table.set_column(index, "expansion_start", text), path)
    with pytest.raises(DataError, match="column expansion_start: expected integers, got string"):
        read_windows(path)


def test_what_is_no_parquet_or_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.parquet"
    with pytest.raises(DataError, match="no such file"):
        read_windows(path)
    path.write_bytes(b"not parquet at all")
    with pytest.raises(DataError, match="not readable as Parquet"):
        read_windows(path)


def test_a_file_without_a_good_row_is_refused(
    tmp_path: Path, labelled_file: Path, rows: list[Row]
) -> None:
    path = _write(tmp_path / "empty.parquet", [], pq.read_schema(labelled_file))
    with pytest.raises(DataError, match="no window left"):
        read_windows(path)
    for row in rows:
        row["label"] = ""
    _write(path, rows, pq.read_schema(labelled_file))
    with pytest.raises(DataError, match="no window left, expected at least 1 good row of 6"):
        read_windows(path, skip_bad=True)


def test_groups_are_physical_spans_where_they_are_known(
    tmp_path: Path, labelled_file: Path, rows: list[Row]
) -> None:
    path = _write(tmp_path / "some.parquet", rows, pq.read_schema(labelled_file))
    by_base, _ = read_windows(path)
    assert len(set(by_base.group)) == len({row["base_window_id"] for row in rows})
    ids = [row["window_id"] for row in rows]
    known = pa.table({"file": ["some"] * 6, "window_id": ids, "span_id": [7, 7, 7, 7, 9, 9]})
    pq.write_table(known, tmp_path / "span_ids.parquet")
    assert read_windows(path)[0].group.tolist() == [7, 7, 7, 7, 9, 9]


@pytest.mark.parametrize(
    "name", ["window_id", "base_window_id", "offset", "overlap_fraction", "source", "quality"]
)
def test_an_optional_column_may_lack(tmp_path: Path, labelled_file: Path, name: str) -> None:
    path = tmp_path / "some.parquet"
    table = pq.read_table(labelled_file)
    pq.write_table(table.drop_columns([name]), path)
    windows, faults = read_windows(path)
    assert (len(windows), faults) == (60, [])
    assert len(set(windows.window_id)) == 60


def _fixed(table: pa.Table) -> pa.Array:
    flat = pa.array(np.array(table["features"].to_pylist()).reshape(-1))
    bars = pa.FixedSizeListArray.from_arrays(flat, 4)
    return pa.FixedSizeListArray.from_arrays(bars, 105)


CASTS: list[tuple[str, Callable[[pa.Table], pa.Array]]] = [
    ("expansion_start", lambda table: table["expansion_start"].cast(pa.uint8())),
    ("expansion_end", lambda table: table["expansion_end"].cast(pa.uint32())),
    ("expansion_end", lambda table: table["expansion_end"].cast(pa.float32())),
    ("offset", lambda table: pa.array([0] * len(table), pa.uint64())),
    ("label", lambda table: table["label"].dictionary_encode()),
    ("window_id", lambda table: table["window_id"].dictionary_encode()),
    ("window_id", lambda table: pa.array(range(len(table)))),
    ("overlap_fraction", lambda table: pa.array([1] * len(table))),
    ("overlap_fraction", lambda table: pa.array([1.0] * len(table)).cast(pa.decimal128(3, 1))),
    ("source", lambda table: pa.nulls(len(table))),
    ("features", _fixed),
]


@pytest.mark.parametrize(("name", "make"), CASTS)
def test_a_column_of_a_type_that_can_be_cast_is_read(
    tmp_path: Path, labelled_file: Path, name: str, make: Callable[[pa.Table], pa.Array]
) -> None:
    table = pq.read_table(labelled_file)
    path = tmp_path / "cast.parquet"
    pq.write_table(table.set_column(table.column_names.index(name), name, make(table)), path)
    windows, _ = read_windows(path)
    expected, _ = read_windows(labelled_file)
    np.testing.assert_array_equal(windows.bars, expected.bars)
    np.testing.assert_array_equal(windows.spans, expected.spans)
    np.testing.assert_array_equal(windows.types, expected.types)


@pytest.mark.parametrize("kind", ["text", "milliseconds", "date"])
def test_times_of_another_type_are_read(tmp_path: Path, labelled_file: Path, kind: str) -> None:
    table = pq.read_table(labelled_file)
    place, path = table.column_names.index("start_timestamp"), tmp_path / "cast.parquet"
    utc = table["start_timestamp"].cast(pa.timestamp("ms", tz="UTC"))
    day = 86_400_000
    if kind == "text":
        made = pa.array([str(one.as_py()) for one in utc])
    elif kind == "milliseconds":
        made = utc.cast(pa.int64())
    else:
        made = utc.cast(pa.date32())
    pq.write_table(table.set_column(place, "start_timestamp", made), path)
    expected = utc.cast(pa.int64()).to_numpy()
    expected = expected // day * day if kind == "date" else expected
    np.testing.assert_array_equal(read_windows(path)[0].start_time, expected * 10**6)


def test_whole_numbers_and_truths_are_words_too(tmp_path: Path, labelled_file: Path) -> None:
    table = pq.read_table(labelled_file)
    path = tmp_path / "cast.parquet"
    codes = pa.array([i % 3 for i in range(len(table))], pa.uint8())
    table = table.set_column(table.column_names.index("label"), "label", codes)
    truths = pa.array([True] * len(table))
    pq.write_table(table.set_column(table.column_names.index("quality"), "quality", truths), path)
    assert read_windows(path)[0].labels == ("0", "1", "2")


def test_a_column_twice_and_a_half_bar_are_one_line(tmp_path: Path, labelled_file: Path) -> None:
    table = pq.read_table(labelled_file)
    path = tmp_path / "bad.parquet"
    pq.write_table(table.append_column("label", table["label"]), path)
    with pytest.raises(DataError, match="column label is there 2 times"):
        read_windows(path)
    half = pa.array([3.5] * len(table))
    place = table.column_names.index("expansion_start")
    pq.write_table(table.set_column(place, "expansion_start", half), path)
    with pytest.raises(DataError, match="column expansion_start: expected integers, got double"):
        read_windows(path)


def test_any_words_are_types(tmp_path: Path, labelled_file: Path) -> None:
    table = pq.read_table(labelled_file)
    words = pa.array([("up", "down", "flat", "spike")[i % 4] for i in range(len(table))])
    path = tmp_path / "words.parquet"
    pq.write_table(table.set_column(table.column_names.index("label"), "label", words), path)
    windows, _ = read_windows(path)
    assert windows.labels == ("down", "flat", "spike", "up")
    assert windows.types[:4].tolist() == [3, 0, 1, 2]
    turned = windows.with_labels(("up", "down", "flat", "spike"), "f")
    assert turned.types[:4].tolist() == [0, 1, 2, 3]
    with pytest.raises(DataError, match="f: column label: expected up or down, got 'flat'"):
        windows.with_labels(("up", "down"), "f")


def test_the_length_of_a_bar_is_read(tmp_path: Path, labelled_file: Path) -> None:
    table = pq.read_table(labelled_file).replace_schema_metadata({"moola.bar_ns": "300000000000"})
    pq.write_table(table, tmp_path / "five.parquet")
    assert read_windows(tmp_path / "five.parquet")[0].bar_ns == 300_000_000_000
