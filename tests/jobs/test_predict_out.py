"""What ``jobs.predict --out`` may replace."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from jobs.predict import main

pytestmark = pytest.mark.train


@pytest.fixture
def bars(data: Path, tmp_path: Path) -> Path:
    table = pq.read_table(data / "bars" / "synthetic_1m.parquet").slice(0, 600)
    pq.write_table(table, tmp_path / "bars.parquet")
    return tmp_path / "bars.parquet"


@pytest.mark.parametrize("name", ["spans.csv", "spans.parquet", "text.csv"])
def test_what_people_marked_is_not_replaced(
    bars: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    out = tmp_path / name
    marked = pa.table({"start": [3], "end": [9], "label": ["up"]})
    if name == "spans.parquet":
        pq.write_table(marked, out)
    elif name == "spans.csv":
        pyarrow.csv.write_csv(marked, out)
    else:
        out.write_bytes(b"\xff\x00 my notes\nof spans, many\n")
    before = out.read_bytes()
    assert main(["--run", "none", "--bars", str(bars), "--out", str(out)]) == 10
    assert "that jobs.predict has not written, which would be replaced" in capsys.readouterr().err
    assert out.read_bytes() == before


@pytest.mark.parametrize("form", ["csv", "tradingview", "parquet"])
def test_an_earlier_answer_is_replaced_in_every_format(
    small_run: Path, bars: Path, tmp_path: Path, form: str
) -> None:
    words = ["--run", str(small_run), "--bars", str(bars), "--out", str(tmp_path / "spans.csv")]
    (tmp_path / "spans.csv").touch()
    assert main([*words, "--format", form]) == 0
    assert main(words) == 0
    assert (tmp_path / "spans.csv").read_bytes().startswith(b'"start","stop",')
