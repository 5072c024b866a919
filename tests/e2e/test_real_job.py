"""The job itself, on the built-in market, through the embedded pod."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.projects import Project
from tests.support.shared import market

pytestmark = [pytest.mark.e2e, pytest.mark.train]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in market as files, one for the whole session."""
    return market(tmp_path_factory)


@pytest.fixture
def jade(local_state: Path, data: Path, tmp_path: Path) -> Project:
    """This very project, with the market as its data."""
    project = Project(tmp_path / "project", local_state)
    for name in ("jobs", "moola_core", "configs"):
        shutil.copytree(ROOT / name, project.folder / name)
    table = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("[tool.moola-remote]")
    project.write("pyproject.toml", "".join(table[1:]).partition("[tool.ruff]")[0])
    (project.folder / "data").mkdir()
    (project.folder / "data" / "synthetic").symlink_to(data)
    return project


def test_the_seed_recipe_is_trained_fetched_and_compared(jade: Project) -> None:
    assert "3,210 windows, " in jade.ok("deploy")
    trained = jade.run("train", "--recipe", "seed", "--epochs", "2")
    assert trained.returncode == 0, trained.stderr
    assert "97,547 parameters | 12 features" in trained.stdout
    assert trained.stdout.count("\n  2/2 ") == 1
    folder = Path(jade.ok("fetch", "all").splitlines()[0])
    pictures = {"span_probs_soft.png", "loss_curves.png", "sigma_curves.svg", "gallery.svg"}
    artifacts = {path.name for path in (folder / "artifacts").iterdir()}
    assert artifacts >= {"model.safetensors", "model.json", "metrics.json", *pictures}
    assert {path.name for path in folder.iterdir()} >= {"config.yaml", "events.jsonl", "log"}
    assert "largest bar" in jade.ok("compare")
    assert_a_replay_is_equal(jade, folder)


def assert_a_replay_is_equal(jade: Project, folder: Path) -> None:
    """A replay gives the numbers of the run, bit for bit, although the code here has changed."""
    jade.write("moola_core/extra.py", "CHANGED = True\n")
    again = jade.run("train", "--replay", folder.name)
    assert again.returncode == 0, again.stderr
    assert "not as it was" not in again.stderr
    assert numbers_of(Path(jade.ok("fetch", "results").splitlines()[0])) == numbers_of(folder)


def numbers_of(folder: Path) -> tuple[object, ...]:
    """The scores, the history of the losses, and the weights."""
    scores = json.loads((folder / "result.json").read_bytes())["scores"]
    metrics = json.loads((folder / "artifacts" / "metrics.json").read_bytes())
    history = [{**epoch, "seconds": 0} for epoch in metrics["history"]]
    assert scores["validation"]
    return scores, history, (folder / "artifacts" / "model.safetensors").read_bytes()


def test_a_bad_window_fails_the_run_with_its_own_line(
    jade: Project, data: Path, tmp_path: Path
) -> None:
    table = pq.read_table(data / "labelled" / "train_210.parquet")
    windows = table.column("features").to_pylist()
    windows[7][3][1] = windows[7][3][2] - 1.0  # high < low
    table = table.set_column(
        table.column_names.index("features"), table.field("features"), [windows]
    )
    bad = tmp_path / "bad"
    bad.mkdir()
    pq.write_table(table, bad / "train_210.parquet")
    line = jade.refused(20, "train", "--recipe", "seed", "--data", f"labelled={bad}")
    assert ": failed, exit code " in line
    assert "train_210.parquet: " in line.partition("error: ")[2]
    assert "7" in line.partition("train_210.parquet: ")[2]
