"""Labels per bar: a row a bar, as pandas and polars write them; runs of one label are spans."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from moola_core.data.spans_file import read_spans
from moola_core.data.times import Clock
from moola_core.errors import DataError
from tests.support.span_lists import BARS, FIRST, TWO, clock, rows, spans_of

if TYPE_CHECKING:
    import pandas as pd

POLARS = Path(__file__).parents[2] / "jobs" / "span_files"
NUMBER_OF = {"up": 1, "down": -1}
MASK = {"up": 1, "down": 1}
NUM_BARS = len(BARS)


def labels(outside: object = None, of: Mapping[str, object] | None = None) -> list[object]:
    """Return a label for each of the bars."""
    per_bar = [outside] * NUM_BARS
    for start, stop, word in TWO:
        per_bar[start:stop] = [(of or {word: word})[word]] * (stop - start)
    return per_bar


def times(zone: str | None = "UTC") -> pd.DatetimeIndex:
    import pandas as pd

    return pd.to_datetime(FIRST + 60 * np.arange(NUM_BARS), unit="s", utc=True).tz_convert(zone)


def frame(words: list[object] | None = None, **columns: object) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({"timestamp": times(), "label": words or labels(), **columns})


def bar_numbers() -> pd.DataFrame:
    return frame(labels("none"), bar=np.arange(NUM_BARS))[["bar", "label"]]


def write(table: pd.DataFrame, path: Path, *, index: bool = False) -> Path:
    if path.suffix == ".parquet":
        table.to_parquet(path, index=index)
    elif path.suffix == ".json":
        table.to_json(path, orient="records", lines=True, date_format="iso")
    else:
        table.to_csv(path, index=index)
    return path


FRAMES: dict[str, Callable[[], pd.DataFrame]] = {
    "words.csv": frame,
    "words.json": frame,
    "categories.parquet": lambda: frame().astype({"label": "category"}),
    "zeros.csv": lambda: frame(labels(0)).rename(columns={"timestamp": "Date", "label": "Class"}),
    "no-zone.csv": lambda: frame().assign(timestamp=times(None)),
    "beside-prices.csv": lambda: frame(open=1.0, high=1.0, low=1.0, close=1.0),
    "newest-first.csv": lambda: frame()[::-1],
    "bar-numbers.csv": bar_numbers,
    "a-part.csv": lambda: frame()[9:42],
}


@pytest.mark.parametrize("name", FRAMES)
def test_runs_of_one_label_are_spans(name: str, tmp_path: Path) -> None:
    assert sorted(spans_of(write(FRAMES[name](), tmp_path / name))) == TWO


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("kind", ["UTC", None, "numbers"])
def test_an_index_without_a_name_says_which_bar(
    kind: str | None, suffix: str, tmp_path: Path
) -> None:
    index = np.arange(NUM_BARS) if kind == "numbers" else times(kind)
    table = frame()[["label"]].set_axis(index)
    assert spans_of(write(table, tmp_path / f"s.{suffix}", index=True)) == TWO


@pytest.mark.parametrize("kind", ["csv", "ndjson", "parquet", "arrow"])
def test_files_of_polars_are_read(kind: str) -> None:
    expected = [(2, 5, "up"), (5, 7, "down"), (9, 10, "up")]
    assert spans_of(POLARS / f"labels-polars.{kind}") == expected


TOUCHING = [(2, 6, "up"), (6, 9, "up"), (9, 10, "down"), (10, 12, "up"), (20, 23, "down")]
SCHEMES = {  # marks of the first bar, those within, the last, one alone
    "BIO": ("B", "I", "I", "B"),
    "BIOES": ("B", "I", "E", "S"),
    "BILOU": ("B", "I", "L", "U"),
    "BMES": ("B", "M", "E", "S"),
    "BMEWO": ("B", "M", "E", "W"),
    "IOB1": ("I", "I", "I", "I"),  # B of the second of two that touch
}


def tags(scheme: str) -> list[object]:
    """Return the tags of `TOUCHING`, written bar by bar."""
    first, inside, last, alone = SCHEMES[scheme]
    found: list[object] = ["O"] * NUM_BARS
    for (start, stop, word), (_, before, its) in zip(
        TOUCHING, [(0, 0, ""), *TOUCHING[:-1]], strict=True
    ):
        for bar in range(start, stop):
            mark = first if bar == start else last if bar == stop - 1 else inside
            mark = alone if stop - start == 1 else mark
            if scheme == "IOB1" and bar == start and (before, its) == (start, word):
                mark = "B"
            found[bar] = f"{mark}-{word}"
    return found


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("form", ["as they are", "lower case", "underscores", "newest first"])
def test_tags_say_where_spans_that_touch_begin(scheme: str, form: str, tmp_path: Path) -> None:
    words: list[object] = [str(word) for word in tags(scheme)]
    if form == "lower case":
        words = [str(word).lower() for word in words]
    if form == "underscores":
        words = [str(word).replace("-", "_") for word in words]
    table = frame(words)[::-1] if form == "newest first" else frame(words)
    assert sorted(spans_of(write(table, tmp_path / "s.csv"))) == TOUCHING


@pytest.mark.parametrize("mark", ["{}", "{}-"])
@pytest.mark.parametrize("outside", ["O", None, 0])
def test_tags_without_a_type_are_of_one(mark: str, outside: object, tmp_path: Path) -> None:
    words: list[object] = [outside] * NUM_BARS
    words[3:9] = [mark.format(one) for one in "BIIBIB"]
    path = write(frame(words), tmp_path / "s.csv")
    assert spans_of(path) == [(3, 6, "span"), (6, 8, "span"), (8, 9, "span")]
    assert {word for _, _, word in spans_of(path, label="run")} == {"run"}


@pytest.mark.parametrize(
    "words",
    [
        *(["B-side", "B-side", "A-side"], ["B-side", "B-side"], ["B", "S"], ["L", "L", "S"]),
        *(["E-mini", "S-curve"], ["I", "II"], ["I", "I"], ["B-up", "I-up", "flat"], ["U-turn"]),
    ],
)
def test_words_that_look_like_tags_are_words(words: list[str], tmp_path: Path) -> None:
    path = write(frame([*words, *[None] * (NUM_BARS - len(words))]), tmp_path / "s.csv")
    assert [word for _, _, word in sorted(spans_of(path))] == list(dict.fromkeys(words))


@pytest.mark.parametrize("kind", ["int64", "float64", "Int8", "str"])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_numbers_are_words_whatever_they_are_written_as(
    kind: str, suffix: str, tmp_path: Path
) -> None:
    table = frame(labels(0, NUMBER_OF)).astype({"label": kind})
    if kind == "float64":
        table = table.replace({"label": {0.0: np.nan}})
    path = write(table, tmp_path / f"s.{suffix}")
    assert spans_of(path) == [(10, 15, "1"), (30, 42, "-1")]


@pytest.mark.parametrize("kind", ["bool", "int64", "float64"])
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("word", [None, "up"])
def test_a_mask_is_of_one_type(kind: str, suffix: str, word: str | None, tmp_path: Path) -> None:
    path = write(frame(labels(0, MASK)).astype({"label": kind}), tmp_path / f"s.{suffix}")
    name = word or "span"
    assert spans_of(path, label=word) == [(10, 15, name), (30, 42, name)]


@pytest.mark.parametrize(
    ("shift", "kept", "row"), [("565min", [(575, 580, "up")], 30), ("-35min", [], 10)]
)
def test_spans_beyond_the_series_are_left_out_with_their_row(
    shift: str, kept: list[tuple[int, int, str]], row: int, tmp_path: Path
) -> None:
    path = write(frame().assign(timestamp=times().shift(freq=shift)), tmp_path / "s.csv")
    found, faults = read_spans(path, BARS, Clock(str(path), "UTC"), None)
    assert [(one.start, one.stop, one.label) for one in found] == kept
    assert (faults[0].row, faults[0].column) == (row, "timestamp")


def twice() -> pd.DataFrame:
    import pandas as pd

    return pd.concat([frame(), frame()])


REFUSED: dict[str, Callable[[], pd.DataFrame]] = {
    "each row has a label .down, up., expected 0": lambda: frame().dropna(),
    "holds no span, expected a label in at least 1 row": lambda: frame().assign(label=0),
    "no row for bar 33 .2024-01-02 15:03:00 UTC., expected one": lambda: frame().drop(index=33),
    "no row for bar 1 .2024-01-02 14:31:00 UTC., expected one": lambda: frame().drop(index=1),
    "rows 0 and 600, column timestamp: of one bar": twice,
    "row 0, column timestamp: 2024-01-02 14:30:07 UTC, expected the time at which a bar": lambda: (
        frame().assign(timestamp=times().shift(freq="7s"))
    ),
    "column start is missing.*with a row per bar timestamp,label": lambda: frame().rename(
        columns={"label": "target"}
    ),
    "column end is missing": lambda: frame().rename(columns={"timestamp": "start"}),
}


@pytest.mark.parametrize("says", REFUSED)
def test_what_is_no_row_per_bar_is_refused(says: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=says):
        spans_of(write(REFUSED[says](), tmp_path / "s.csv"))


def test_ends_are_not_to_be_said(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(rows("time,label", f"{clock(0)},0", f"{clock(1)},1"))
    assert spans_of(tmp_path / "s.csv") == [(1, 2, "span")]
    with pytest.raises(DataError, match="expected no --ends half-open; leave it out"):
        spans_of(tmp_path / "s.csv", ends="half-open")
