"""One pre-training in several processes: real torchrun, gloo, two ranks on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs.common.processes import processes_of
from jobs.train import main
from moola_core.errors import ConfigError
from tests.support.lanes import HANGS_S

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "configs" / "train"
SMALL = [
    *("--set", "pretrain.bars=[bars/synthetic_1m.parquet]", "--set", "pretrain.windows=70"),
    *("--set", "model.hidden_size=8", "--set", "training.batch_size=16", "--device", "cpu"),
    *("--set", "training.learning_rate=0.01", "--set", "training.checkpoint_epochs=1"),
]
EPOCHS = 3


def argv_of(run_dir: Path, data: Path, *words: str) -> list[str]:
    """Return the words of a pre-training."""
    paths = ["--run-dir", str(run_dir), "--data", str(data)]
    return ["--config", str(RECIPES / "pretrain.yaml"), *paths, *SMALL, *words]


class Run:
    """What a pre-training left in its folder."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir

    def epochs(self) -> list[float]:
        """Return the validation loss of each epoch that it reported."""
        path = self.run_dir / "events.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        events = [json.loads(line) for line in lines]
        return [one["validation"]["total"] for one in events if one["kind"] == "epoch"]

    def encoder(self) -> bytes:
        """Return the bytes of what it learnt."""
        return (self.run_dir / "artifacts" / "encoder.safetensors").read_bytes()


class Job(Run):
    """A pre-training in a process of its own, as on a pod."""

    def __init__(self, run_dir: Path, data: Path, *words: str, gpus: int = 1) -> None:
        super().__init__(run_dir)
        run_dir.mkdir(exist_ok=True)
        self.log = run_dir.with_suffix(".log")
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        env.pop("MOOLA_GPUS", None)
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jobs.train", *argv_of(run_dir, data, *words)],
                cwd=ROOT,
                env={**env, **({"MOOLA_GPUS": str(gpus)} if gpus > 1 else {})},
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def end(self) -> int:
        """Wait for its end; return the exit code."""
        return self.process.wait(timeout=2 * HANGS_S)

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Wait until it has come so far."""
        until = time.monotonic() + HANGS_S
        while not is_so():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.05)

    def rank(self, number: int) -> int:
        """Return the process id of a rank."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        for pid in children.read_text().split():
            words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            if f"RANK={number}".encode() in words:
                return int(pid)
        raise AssertionError(f"no rank {number}")


@pytest.fixture(autouse=True)
def own_signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a pre-training in this process, which is none of several, leave no handler."""
    monkeypatch.delenv("MOOLA_GPUS", raising=False)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="module")
def shared(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A run of two processes that nobody stopped."""
    folder = tmp_path_factory.mktemp("shared") / "run"
    job = Job(folder, data, "--epochs", str(EPOCHS), gpus=2)
    assert job.end() == 0, job.log.read_text()
    return job


@pytest.mark.train
def test_two_processes_have_the_loss_of_one(shared: Job, data: Path, tmp_path: Path) -> None:
    alone = Run(tmp_path / "alone")
    assert main(argv_of(alone.run_dir, data, "--epochs", str(EPOCHS))) == 0
    assert len(shared.epochs()) == EPOCHS
    assert shared.epochs() == pytest.approx(alone.epochs(), abs=1e-6)
    assert shared.encoder() != alone.encoder()  # sums in another order: it was shared


@pytest.mark.train
def test_a_shared_run_is_one_run(shared: Job) -> None:
    printed = shared.log.read_text()
    assert "2 processes" in printed
    assert printed.count("recipe pretrain: reading code and data") == 1
    assert "reading code and data" in (shared.run_dir / "ranks" / "1.log").read_text()
    assert sorted(path.name for path in shared.run_dir.iterdir()) == [
        *("artifacts", "checkpoints", "config.yaml", "events.jsonl", "ranks", "result.json")
    ]


@pytest.mark.train
def test_another_number_of_processes_goes_on_with_a_note(
    shared: Job, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--epochs", str(EPOCHS + 1), "--resume", str(shared.run_dir)]
    assert main(argv_of(tmp_path / "run", data, *more)) == 0
    assert "the checkpoint is of 2 processes, these are 1" in "".join(capsys.readouterr())
    assert len(Run(tmp_path / "run").epochs()) == EPOCHS + 1


@pytest.mark.train
def test_the_death_of_one_process_ends_the_run(data: Path, tmp_path: Path) -> None:
    job = Job(tmp_path / "run", data, "--epochs", "500", "--processes", "2")
    job.wait_until(lambda: bool(job.epochs()))
    first = job.rank(0)
    os.kill(job.rank(1), signal.SIGKILL)
    began = time.monotonic()
    assert job.end() == 20
    assert time.monotonic() - began < HANGS_S  # gloo alone would wait for half an hour
    assert not Path(f"/proc/{first}").exists()
    last = job.log.read_text().splitlines()[-1]
    assert last.startswith("error: process 1 of 2: ended by signal 9")
    assert "Traceback" not in job.log.read_text()


@pytest.mark.train
def test_what_is_wrong_with_the_data_is_reported_once(data: Path, tmp_path: Path) -> None:
    missing = ["--set", "pretrain.bars=[bars/none.parquet]"]
    job = Job(tmp_path / "run", data, *missing, "--processes", "2")
    assert job.end() == 10
    lines = job.log.read_text().splitlines()
    assert len(lines) == 2
    assert "none.parquet: no such file" in lines[1]


@pytest.mark.parametrize(
    ("recipe", "options", "expected"),
    [
        ("jade", ["--processes", "2"], "can't share; expected a recipe with the section pretrain"),
        ("pretrain", ["--processes", "0"], "--processes 0: expected 1 to 64"),
        ("pretrain", ["--processes", "x"], "--processes x: expected 1 to 64"),
        (
            "pretrain",
            ["--processes", "4", "--set", "pretrain.windows=130"],
            "a batch of 2 of 130 windows for 4 processes",
        ),
    ],
)
def test_what_cannot_be_shared_is_refused(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    recipe: str,
    options: list[str],
    expected: str,
) -> None:
    config = str(RECIPES / f"{recipe}.yaml")
    assert main(["--config", config, "--run-dir", str(tmp_path), *options]) == 10
    printed = capsys.readouterr().err
    assert expected in printed
    assert printed.count("\n") == 1


def test_processes_are_a_number() -> None:
    assert [processes_of(text) for text in (None, "", "1", "8")] == [1, 1, 1, 8]
    with pytest.raises(ConfigError, match=r"^--processes 65: expected 1 to 64"):
        processes_of("65")
