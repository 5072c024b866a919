"""The files of a prediction: which lie in the project, and which would be lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from moola_remote.errors import ConfigError
from moola_remote.predict.tasks import Series, find_series, require_other_folder, results_in


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


def test_spans_do_not_replace_their_series(tmp_path: Path) -> None:
    bars = tmp_path / "bars"
    bars.mkdir()
    (bars / "NQ.parquet").touch()
    (tmp_path / "link").symlink_to("bars")
    series = find_series([f"{bars}/*.parquet"])
    for out in (bars, tmp_path / "link", bars / ".." / "bars"):
        with pytest.raises(ConfigError, match=r"NQ\.parquet is a series, which its spans would"):
            require_other_folder(out, series)
    require_other_folder(tmp_path / "spans", series)
    (bars / "ES.csv").touch()
    (tmp_path / "labelled").mkdir()
    (tmp_path / "labelled" / "NQ.parquet").touch()
    with pytest.raises(ConfigError, match=r"NQ\.parquet in it is no result of predict"):
        require_other_folder(tmp_path / "labelled", series)
    # Results that a crash left before they were noted are done again.
    (tmp_path / "labelled" / "index.json").touch()
    require_other_folder(tmp_path / "labelled", series)
    require_other_folder(bars, find_series([f"{bars}/*.csv"]))
