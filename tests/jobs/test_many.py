"""Several trials in one warm process: what each leaves is what it would leave alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from jobs.common.trial import do_trial
from jobs.many import main
from jobs.train import main as train
from tests.support.lanes import HANGS_S

ROOT = Path(__file__).parents[2]
SEED = str(ROOT / "configs" / "train" / "seed.yaml")
SMALL = ["--config", SEED, "--set", "model.hidden_size=8", "--epochs", "2", "--device", "cpu"]

# A job whose trials end in each way that there is.
ODD = """
import os, signal, sys, time
from pathlib import Path

def main(argv):
    run_dir = Path(os.environ["MOOLA_RUN_DIR"])
    with (run_dir / "begun").open("a") as file:
        file.write("x")
    print("doing", argv[0], flush=True)
    if argv[0] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if argv[0] == "exit":
        os._exit(7)
    if argv[0] == "raise":
        raise ValueError("no such thing")
    if argv[0] == "refuse":
        sys.exit("a reason")
    if argv[0] == "wait":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        (run_dir / "waits").touch()
        time.sleep(600)
    return int(argv[1]) if len(argv) > 1 else 0
"""


def many(
    run_dir: Path, job: str, trials: list[tuple[int, list[str]]], **env: str
) -> subprocess.Popen[str]:
    """Start `jobs.many` as a run does."""
    paths = os.pathsep.join([str(ROOT), env.pop("path", "")])
    environment = {**os.environ, "MOOLA_RUN_DIR": str(run_dir), "PYTHONPATH": paths, **env}
    argv = [sys.executable, "-m", "jobs.many", job, json.dumps(trials)]
    return subprocess.Popen(
        argv, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def end(run_dir: Path, number: int) -> tuple[Any, Any]:
    """Return a trial's exit code and signal."""
    found = json.loads((run_dir / "trials" / str(number) / "end.json").read_text())
    return found["exit_code"], found["signal"]


@pytest.fixture
def odd(tmp_path: Path) -> str:
    (tmp_path / "odd.py").write_text(ODD)
    return str(tmp_path)


@pytest.mark.process
def test_a_trial_that_fails_costs_no_other(tmp_path: Path, odd: str) -> None:
    ways = [["fine"], ["raise"], ["kill"], ["fine", "20"], ["exit"], ["refuse"], ["fine"]]
    run = many(tmp_path / "run", "odd", [(3 + i, way) for i, way in enumerate(ways)], path=odd)
    printed, errors = run.communicate(timeout=HANGS_S)
    assert run.returncode == 0, errors
    ends = [end(tmp_path / "run", 3 + i) for i in range(len(ways))]
    codes = [(code, None) for code in (0, 1, 20, 7, 1, 0)]
    assert ends == [*codes[:2], (None, "SIGKILL"), *codes[2:]]
    assert len(printed.splitlines()) == len(ways)
    trials = tmp_path / "run" / "trials"
    assert [(trials / str(3 + i) / "begun").read_text() for i in range(len(ways))] == ["x"] * 7
    assert "ValueError: no such thing" in (trials / "4" / "log").read_text()
    assert (trials / "9" / "log").read_text() == "doing fine\n"


@pytest.mark.process
def test_a_stop_leaves_the_trial_open_and_begins_no_other(tmp_path: Path, odd: str) -> None:
    run_dir = tmp_path / "run"
    run = many(run_dir, "odd", [(0, ["fine"]), (1, ["wait"]), (2, ["fine"])], path=odd)
    until = time.monotonic() + HANGS_S
    while not (run_dir / "trials" / "1" / "waits").exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    run.send_signal(signal.SIGTERM)
    run.communicate(timeout=HANGS_S)
    assert run.returncode == 143
    assert end(run_dir, 0) == (0, None)
    assert not (run_dir / "trials" / "1" / "end.json").exists()
    assert not (run_dir / "trials" / "2").exists()


@pytest.mark.parametrize(
    ("trials", "said"),
    [
        ("[", "trials: expected JSON"),
        ("[[0]]", "trials: expected JSON"),
        ('[["x", []]]', "trials: expected JSON"),
        ("[[1, []], [1, []]]", "two have one number"),
    ],
)
def test_bad_words_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], trials: str, said: str
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert main(["jobs.train", trials, "--run-dir", str(tmp_path)]) == 10
    signal.signal(signal.SIGTERM, before)
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1


LAST = [*SMALL, "--seed", "2", "--set", "decoder.kind=best_span"]


@pytest.fixture(scope="module")
def alone(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the last trial by itself, with its pictures."""
    run_dir = tmp_path_factory.mktemp("alone") / "run"
    before = signal.getsignal(signal.SIGTERM)
    assert train([*LAST, "--run-dir", str(run_dir), "--data", str(data)]) == 0
    signal.signal(signal.SIGTERM, before)
    return run_dir


@pytest.mark.train
def test_a_trial_leaves_the_bytes_that_it_leaves_alone(
    data: Path, alone: Path, tmp_path: Path
) -> None:
    ways = [
        [*SMALL, "--seed", "1", "--set", "training.learning_rate=0.01"],
        [*SMALL, "--set", "model.hidden_sizes=8"],
        LAST,
    ]
    run_dir = tmp_path / "run"
    run = many(run_dir, "jobs.train", list(enumerate(ways)), MOOLA_DATA_DIR=str(data))
    _, errors = run.communicate(timeout=900)
    assert run.returncode == 0, errors
    assert [end(run_dir, i)[0] for i in range(3)] == [0, 10, 0]
    assert "unknown key model.hidden_sizes" in (run_dir / "trials" / "1" / "log").read_text()
    packed = run_dir / "trials" / "2"
    names = sorted(str(path.relative_to(alone)) for path in alone.rglob("*") if path.is_file())
    there = {str(path.relative_to(packed)) for path in packed.rglob("*") if path.is_file()}
    assert there == {*names, "log", "end.json"}
    differ = [name for name in names if (alone / name).read_bytes() != (packed / name).read_bytes()]
    # These hold times; what they hold beside them is compared below.
    timed = {"artifacts/metrics.json", "events.jsonl", "result.json"}
    timed |= {f"checkpoints/epoch-0002/{name}" for name in ("SHA256SUMS", "state.json")}
    assert set(differ) <= timed
    for name in ("result.json", "artifacts/metrics.json"):
        theirs, ours = (json.loads((folder / name).read_text()) for folder in (alone, packed))
        assert _without_times(theirs) == _without_times(ours)


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if key != "seconds"}
    return [_without_times(item) for item in value] if isinstance(value, list) else value


NOTED = """
import os
from pathlib import Path

def main(argv):
    run_dir = Path(os.environ["MOOLA_RUN_DIR"])
    source = os.environ.get("MOOLA_RESUME_DIR")
    (run_dir / "seen").write_text(f"{source} {(run_dir / 'events.jsonl').exists()}")
    return 0
"""


def test_a_trial_that_was_stopped_goes_on_or_starts_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "noted.py").write_text(NOTED)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("MOOLA_RUN_DIR", "MOOLA_RESUME_DIR"):
        monkeypatch.setenv(name, "")  # what the trial sets is undone
    over, on = tmp_path / "over", tmp_path / "on"
    (on / "checkpoints" / "epoch-0002").mkdir(parents=True)
    (on / "checkpoints" / "epoch-0002" / "SHA256SUMS").touch()
    for folder in (on, over):
        folder.mkdir(exist_ok=True)
        (folder / "events.jsonl").touch()
        assert do_trial("noted", [], folder)[0] == 0
    assert (on / "seen").read_text() == f"{on} True"
    assert (over / "seen").read_text() == "None False"
