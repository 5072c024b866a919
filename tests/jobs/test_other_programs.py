"""Labels drawn in other programs: docs/data.md makes tables of them, and they are the same spans.

What the libraries wrote lies in span_files/programs, beside the blocks of the page that were run.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from moola_core.data.windows import read_windows
from tests.jobs.span_lists import FIRST, SPANS, run, write_bars

PROGRAMS = Path(__file__).parent / "span_files" / "programs"
PAGE = Path(__file__).parents[2] / "docs" / "data.md"
OPTIONS = {
    "elan": ["--ends", "half-open"],
    "textgrid": ["--ends", "half-open"],
    "praatio": ["--ends", "half-open"],
    "wfdb": ["--ends", "inclusive"],
    "mne-edf": ["--unit", "bars"],
    "pyedflib": ["--unit", "bars"],
    "praat": [],  # a table of Praat itself
    "mne-annot": [],
}
WORDS = {"p": "up", "t": "down", "N": "spike"}  # WFDB has its own alphabet


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bars(tmp_path_factory.mktemp("bars"))


@pytest.mark.parametrize("name", [*(f"{name}.csv" for name in OPTIONS), "mne-annot.txt"])
def test_their_spans_are_read(bars: Path, tmp_path: Path, name: str) -> None:
    spans = tmp_path / name
    spans.write_bytes((PROGRAMS / name).read_bytes())
    code, out = run(bars, spans, *OPTIONS[spans.stem])
    assert code == 0
    windows, _ = read_windows(out)
    first = (windows.start_time // 10**9 - FIRST) // 60
    assert (windows.spans + first[:, None]).tolist() == [[a, b] for a, b, _ in SPANS]
    words = [windows.labels[kind] for kind in windows.types]
    assert [WORDS.get(word, word) for word in words] == [word for *_, word in SPANS]


def test_the_page_has_the_blocks_that_were_run() -> None:
    part = PAGE.read_text().split("### Labels drawn in other programs")[1]
    blocks = re.findall(r"```python\n(.*?)```", part.split("\n```\nbar ")[0], re.DOTALL)
    kept = {one.read_text() for one in PROGRAMS.glob("*.block.txt")}
    assert len(kept) == 6
    assert set(blocks) == kept, "run tests/jobs/span_files/make_programs.py again"


@pytest.mark.parametrize("spans", ["mne-annot.txt", "mne-edf.csv", "praat.csv"])
def test_a_line_says_that_spans_are_counted_from_the_first_bar(
    bars: Path, tmp_path: Path, spans: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / spans).write_bytes((PROGRAMS / spans).read_bytes())
    said = "spans are placed by time from the first bar's open; bar numbers: --unit bars\n"
    assert run(bars, tmp_path / spans)[0] == 0
    assert said in capsys.readouterr().out
    assert run(bars, tmp_path / spans, "--unit", "seconds")[0] == 0
    assert said not in capsys.readouterr().out
