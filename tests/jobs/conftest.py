from __future__ import annotations

import signal
from pathlib import Path

import pytest

from jobs.synthesize import main
from jobs.train import main as train

SEED = Path(__file__).parents[2] / "configs" / "train" / "seed.yaml"


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in market as files, one for the whole session."""
    out = tmp_path_factory.mktemp("synthetic") / "data"
    assert main(["--out", str(out)]) == 0
    return out


@pytest.fixture(scope="session")
def small_run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the recipe seed, a tenth of its size."""
    run_dir = tmp_path_factory.mktemp("small") / "run"
    paths = ["--config", str(SEED), "--run-dir", str(run_dir), "--data", str(data)]
    spans = ["--set", "decoder.kind=best_span"]  # at the seed's threshold nothing is found
    before = signal.getsignal(signal.SIGTERM)
    assert train([*paths, "--set", "model.hidden_size=8", "--epochs", "3", *spans]) == 0
    signal.signal(signal.SIGTERM, before)
    return run_dir
