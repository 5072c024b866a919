from __future__ import annotations

import signal
from pathlib import Path

import pytest

from jobs.train import main as train
from tests.support.shared import made_once, market

SEED = Path(__file__).parents[2] / "configs" / "train" / "seed.yaml"


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in market as files, one for the whole session."""
    return market(tmp_path_factory)


@pytest.fixture(scope="session")
def small_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the recipe seed, a tenth of its size; to be copied before a change."""

    def make(folder: Path) -> None:
        paths = ["--config", str(SEED), "--run-dir", str(folder / "run"), "--data", str(data)]
        spans = ["--set", "decoder.kind=best_span"]  # at the seed's threshold nothing is found
        before = signal.getsignal(signal.SIGTERM)
        assert train([*paths, "--set", "model.hidden_size=8", "--epochs", "3", *spans]) == 0
        signal.signal(signal.SIGTERM, before)

    return made_once(tmp_path_factory, "small-run", make) / "run"


@pytest.fixture(autouse=True)
def no_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training of one test draws none, two thirds of its time; those of fixtures do.

    Fixtures for several tests come before this one: a run of each recipe, of an ensemble and of
    columns has its pictures.
    """
    if request.node.get_closest_marker("train"):
        from jobs.common import reporting

        monkeypatch.setattr(reporting, "draw_pictures", lambda *_: None)
