"""Which files of a prediction lie in the project, where they are no code."""

from __future__ import annotations

from pathlib import Path

import pytest

from moola_remote.predict.tasks import Series, results_in


@pytest.mark.parametrize(
    ("out", "expected"),
    [
        ("project/spans", ["spans/index.json", "spans/NQ.parquet"]),
        ("project", ["index.json", "NQ.parquet"]),
        ("project/a/../b", ["b/index.json", "b/NQ.parquet"]),
        ("link/spans", ["spans/index.json", "spans/NQ.parquet"]),
        ("elsewhere", []),
        ("project-2", []),
        (".", []),
    ],
)
def test_results_in_the_project(tmp_path: Path, out: str, expected: list[str]) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "link").symlink_to("project")
    series = [Series("NQ", tmp_path / "NQ.csv", 1, "0" * 64, Path("NQ.csv"))]
    assert results_in(tmp_path / "project", tmp_path / out, series) == expected
