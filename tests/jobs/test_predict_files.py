from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from jobs.predict import main as predict
from jobs.predict_files import main

pytestmark = pytest.mark.train


@pytest.fixture
def series(data: Path, tmp_path: Path) -> list[Path]:
    """Three series of different lengths."""
    table = pq.read_table(data / "bars" / "synthetic_1m.parquet")
    paths = []
    for number, length in enumerate((700, 1500, 400)):
        paths.append(tmp_path / f"series{number}.parquet")
        pq.write_table(table.slice(number * 1500, length), paths[-1])
    return paths


def test_each_file_as_alone_and_a_bad_one_costs_no_other(
    small_run: Path, series: list[Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.parquet"
    bad.write_text("no bars")
    out, common = tmp_path / "spans", ["--run", str(small_run)]
    words = [*common, "--out", str(out), "--processes", "2", *map(str, [*series, bad])]
    assert main(words) == 3
    failed = json.loads((out / "failed.json").read_text())["failed"]
    assert list(failed) == ["bad"]
    assert str(tmp_path) not in failed["bad"]
    said = capfd.readouterr()
    assert "1 of 4 series failed" in said.err
    assert said.out.count("done") == 3
    for path in series:
        alone = tmp_path / f"alone-{path.name}"
        assert predict([*common, "--bars", str(path), "--out", str(alone)]) == 0
        assert (out / path.name).read_bytes() == alone.read_bytes()


def test_two_files_of_one_name_are_refused(
    small_run: Path, series: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / series[0].name
    other.write_bytes(series[0].read_bytes())
    words = ["--run", str(small_run), "--out", str(tmp_path / "spans")]
    assert main([*words, str(series[0]), str(other)]) == 10
    assert "two files are named series0" in capsys.readouterr().err
