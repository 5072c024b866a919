"""Days as Excel counts them, in bars."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from moola_core.data.series import ReadOptions, open_bars, read_bars
from moola_core.errors import DataError

FIRST = 1_704_205_800  # 2024-01-02 14:30 UTC, Excel's day 45293.604166...
PRICES = "100.25,101.5,99.5,100.75"


def written(path: Path, *times: str, header: str = "Date", sep: str = ",") -> Path:
    rows = [f"{time}{sep}{PRICES.replace(',', sep)}" for time in times]
    path.write_text(sep.join([header, "Open", "High", "Low", "Close"]) + "\n" + "\n".join(rows))
    return path


@pytest.mark.parametrize(
    ("times", "header", "sep"),
    [
        (("45293.6041666667", "45293.6048611111"), "Date", ","),
        (("45293.60417", "45293.60486"), "Date", ","),  # the eleven digits of a cell of General
        (("45293,60417", "45293,60486"), "Zeit", ";"),
        (("45293,0.604166667", "45293,0.604861111"), "Date,Time", ","),
        (("45293;0,604166667", "45293;0,604861111"), "Datum;Uhrzeit", ";"),
        (("4.52936041666667e4", "4.52936048611111e4"), "Date", ","),
    ],
)
def test_days_and_parts_of_days_are_minutes(
    times: tuple[str, str], header: str, sep: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "bars.csv", *times, header=header, sep=sep)
    time = read_bars(path).time
    assert time is not None
    assert (time // 10**9).tolist() == [FIRST, FIRST + 60]
    assert (time % 10**9).tolist() == [0, 0]
    assert "Excel's days since 1900 (1904: --dates excel-1904)" in open_bars(path).describe()


def test_a_book_of_1904_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "bars.csv", "43831.60417", "43831.60486")
    options = ReadOptions(dates="excel-1904", tz="America/New_York")
    time = read_bars(path, options).time
    assert time is not None
    assert (time // 10**9).tolist() == [FIRST + 5 * 3600, FIRST + 5 * 3600 + 60]
    assert "Excel's days since 1904, America/New_York" in open_bars(path, options).describe()


def test_days_in_a_typed_column_are_read_to_the_millisecond(tmp_path: Path) -> None:
    columns = {name: [2.0, 2.0] for name in ("open", "high", "low", "close")}
    times = pa.array([45293.60416667824, 45293.60417825231])  # 14:30:00.001, 14:30:01.001
    pq.write_table(pa.table({"time": times, **columns}), tmp_path / "bars.parquet")
    time = read_bars(tmp_path / "bars.parquet").time
    assert time is not None
    assert (time // 10**6).tolist() == [FIRST * 1000 + 1, FIRST * 1000 + 1001]


@pytest.mark.parametrize(
    ("times", "says"),
    [
        (
            ("45293.604", "45293.605"),
            "row 0, column Date: expected days as Excel counts them, with",
        ),
        (("45293.60417", "2024-01-02 14:31"), "row 1, column Date: expected days, as Excel counts"),
        (("45293.60417", "93.60486"), "row 1, column Date: expected days, as Excel counts"),
    ],
)
def test_days_that_say_too_little_are_refused(
    times: tuple[str, str], says: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=says):
        read_bars(written(tmp_path / "bars.csv", *times))


def test_whole_days_and_half_days_need_no_more_digits(tmp_path: Path) -> None:
    time = read_bars(written(tmp_path / "bars.csv", "45293.25", "45293.5", "45293.75")).time
    assert time is not None
    assert (time // 3600 // 10**9 % 24).tolist() == [6, 12, 18]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Data;Otwarcie;Najwyzszy;Najnizszy;Zamkniecie;Wolumen", "stooq-pl"),
        ("Datum;Erster;Hoch;Tief;Schlusskurs;Stuecke", "table"),
        ("Fecha;Apertura;Máximo;Mínimo;Último;Vol.", "table"),
        ("Date;Ouv.; Plus Haut;Plus Bas;Dernier;Vol.", "table"),
    ],
)
@pytest.mark.parametrize("sep", [";", ","])
def test_headers_of_other_languages_are_read_with_their_comma(
    header: str, name: str, sep: str, tmp_path: Path
) -> None:
    rows = ["22.07.2019;10,074;10,148;9,987;10,060;5", "19.07.2019;10,074;10,148;9,987;10,061;5"]
    lines = (
        [header, *rows]
        if sep == ";"
        else [",".join(f'"{value}"' for value in line.split(";")) for line in (header, *rows)]
    )
    (tmp_path / "bars.csv").write_text("\n".join(lines), encoding="utf-8")
    file = open_bars(tmp_path / "bars.csv")
    prices = next(file.chunks()).prices
    assert prices.tolist() == [[10.074, 10.148, 9.987, 10.061], [10.074, 10.148, 9.987, 10.06]]
    assert file.describe().startswith(f"read as: {name}, ")


def test_hours_of_stooq_have_a_clock_beside_their_day(tmp_path: Path) -> None:
    header = "Data,Czas,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie,Wolumen\n"
    rows = f"2024-01-02,15:30:00,{PRICES},5\n2024-01-02,16:30:00,{PRICES},5\n"
    (tmp_path / "bars.csv").write_text(header + rows)
    time = read_bars(tmp_path / "bars.csv", ReadOptions(tz="Europe/Warsaw")).time
    assert time is not None
    assert (time // 10**9).tolist() == [FIRST, FIRST + 3600]
