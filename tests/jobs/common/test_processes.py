"""What the end of several processes means for their job."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from jobs.common.processes import exit_code_of_all


@pytest.mark.parametrize(
    ("codes", "expected", "said"),
    [
        ((10, 10), 10, ""),
        ((143, 10), 10, "error: no such file\n"),
        ((-15, 10), 10, "error: no such file\n"),
        ((10, 143), 10, ""),
        ((143, -15), 143, ""),
    ],
)
def test_the_one_that_failed_by_itself_decides(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    codes: tuple[int, int],
    expected: int,
    said: str,
) -> None:
    (tmp_path / "ranks").mkdir()
    (tmp_path / "ranks" / "1.log").write_text("header\nerror: no such file\n")
    failures = {
        rank: SimpleNamespace(local_rank=rank, exitcode=code, timestamp=rank)
        for rank, code in enumerate(codes)
    }
    assert exit_code_of_all(failures, 2, tmp_path) == expected
    assert capsys.readouterr().err == said
