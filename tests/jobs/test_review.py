from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from jobs.review import main


@pytest.mark.slow
def test_findings_are_printed_and_written(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["labelled/train_210.parquet", "--data", str(data), "--worst", "2"]
    assert main([*asked, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    table = pq.read_table(tmp_path / "review.parquet")
    assert f"210 windows, {len(table)} findings" in printed
    assert pyarrow.csv.read_csv(tmp_path / "review.csv").num_rows == len(table) > 0
    kinds = set(table["kind"].to_pylist())
    assert {path.name for path in tmp_path.glob("*.png")} == {f"review-{k}.png" for k in kinds}
    assert "clipped" in kinds


def test_without_out_nothing_is_written(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MOOLA_RUN_DIR", raising=False)
    assert main([str(data / "labelled" / "train_210.parquet")]) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_one_line(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["labelled/none.parquet", "--data", str(data)]) == 10
    assert "none.parquet: no such file" in capsys.readouterr().err


def test_no_finding_is_a_sentence(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pq.read_table(data / "labelled" / "train_210.parquet")
    whole = table.filter(pc.equal(table["overlap_fraction"], 1)).slice(0, 1)
    pq.write_table(whole, tmp_path / "one.parquet")
    assert main([str(tmp_path / "one.parquet")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path / 'one.parquet'}: 1 windows, 0 findings",
        "no span is cut, and no two windows contradict or nearly repeat one another",
    ]
