"""What the jobs of a Ray cluster do without Ray: words, ports, the goal of a result."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from jobs.common.ray_asked import WORKER, goal_of, read_asked
from jobs.common.ray_keeper import PARAMS, Keeper, files_of
from jobs.common.ray_room import LEAVE, do_with_room
from jobs.common.signals import STOPPED
from jobs.common.trial import END
from jobs.many_ray import main as many_ray
from jobs.ray_node import main as ray_node
from jobs.ray_node import num_slots, start_words
from moola_core.errors import ConfigError
from tests.support.lanes import HANGS_S
from tests.support.pods import wait_until
from tests.support.small_disks import disk_or_skip

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("result", "goal", "value"),
    [
        ({"scores": {"validation": {"f1": {"value": 0.5, "low": 0.1}}}}, "f1", 0.5),
        ({"scores": {"recipe": {"f1": {"value": 0.25}}}}, "recipe.f1", 0.25),
        ({"loss": 2}, "loss", 2.0),
        ({"loss": None}, "loss", math.nan),
        ({"loss": True}, "loss", math.nan),
        ([1], "loss", math.nan),
    ],
)
def test_the_goal_is_where_the_laptop_reads_it(
    tmp_path: Path, result: Any, goal: str, value: float
) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(result))
    assert goal_of(path, goal) == pytest.approx(value, nan_ok=True)


def test_no_result_has_no_goal(tmp_path: Path) -> None:
    assert math.isnan(goal_of(tmp_path / "result.json", "f1"))


def test_what_is_asked_wrongly_is_named() -> None:
    with pytest.raises(ConfigError, match="trials: input should be greater"):
        read_asked('{"words": [], "spaces": {"a": ""}, "trials": 0, "goal": "f1", "mode": "max"}')


def test_a_node_without_a_token_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    assert ray_node(["--host", "127.0.0.11", "--port", "24000"]) == 10
    assert "no token" in capsys.readouterr().err


def test_a_driver_without_a_folder_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MOOLA_RUN_DIR", raising=False)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    asked = {"words": [], "spaces": {"a": ""}, "trials": 1, "goal": "f1", "mode": "max"}
    assert many_ray(["jobs.train", json.dumps(asked)]) == 10
    assert "run folder: not given" in capsys.readouterr().err


def test_every_port_of_a_node_is_explicit_and_its_own() -> None:
    words = start_words(Namespace(host="10.0.0.5", port=24000, head=None), 2)
    ports = [int(word.partition("=")[2]) for word in words if "port" in word]
    assert len(ports) == len(set(ports)) == 9
    assert min(ports) == 24000
    assert max(ports) == 24099
    assert {"--block", "--node-ip-address=10.0.0.5", "--num-cpus=2"} <= set(words)
    worker = start_words(Namespace(host="10.0.0.6", port=24100, head="10.0.0.5:24000"), 1)
    assert "--address=10.0.0.5:24000" in worker
    assert not any(word.startswith(("--head", "--include-dashboard")) for word in worker)


def test_a_trial_that_begins_again_gets_back_what_it_had_written(tmp_path: Path) -> None:
    keeper = Keeper(str(tmp_path), first=3)
    assert keeper.begin("a", {"x": 1}, "node-1") == (3, {})
    assert keeper.begin("b", {"x": 2}, "node-2") == (4, {})
    names = ["log", "checkpoints/epoch-0001/state.json"]
    keeper.put(3, names, {names[0]: b"one", names[1]: b"{}"})
    number, files = keeper.begin("a", {"x": 1}, "node-2")
    assert (number, files) == (3, {names[0]: b"one", names[1]: b"{}"})
    keeper.put(3, [*files, PARAMS], {PARAMS: b"of another node"})
    params = json.loads((tmp_path / "trials" / "3" / PARAMS).read_bytes())
    assert params["params"] == {"x": 1}
    assert params["nodes"] == ["node-1", "node-2"]


def test_a_checkpoint_that_a_trial_dropped_is_dropped(tmp_path: Path) -> None:
    keeper = Keeper(str(tmp_path), first=0)
    keeper.begin("a", {}, "node")
    old, new = "checkpoints/epoch-0001/state.json", "checkpoints/epoch-0002/state.json"
    keeper.put(0, [old], {old: b"1"})
    keeper.put(0, [new], {new: b"2"})
    folder = tmp_path / "trials" / "0"
    assert [path.relative_to(folder).as_posix() for path in files_of(folder)] == [new, PARAMS]
    assert not (folder / "checkpoints" / "epoch-0001").exists()


@pytest.mark.parametrize(("shown", "slots"), [("0,1,3", 3), ("2", 1), ("", 1)])
def test_a_node_does_a_trial_a_gpu(monkeypatch: pytest.MonkeyPatch, shown: str, slots: int) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    assert num_slots() == slots


# A node whose `ray start` is another program.
NODE_JOB = """
import sys
import jobs.ray_node as node
node.start_words = lambda *_: ["sleep", "60"]
sys.exit(node.main(sys.argv[1:]))
"""


@pytest.mark.process
@pytest.mark.parametrize("is_worker", [True, False])
def test_a_worker_whose_disk_is_full_leaves_and_a_head_stays(
    tmp_path: Path, is_worker: bool
) -> None:
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "t", "PYTHONPATH": str(ROOT)}
    words = ["--host", "127.0.0.1", "--port", "31900", *(["--head", "h:1"] if is_worker else [])]
    process = subprocess.Popen(
        [sys.executable, "-c", NODE_JOB, *words], cwd=tmp_path, env={**os.environ, **token},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    child = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    wait_until(child.read_text)
    environment = Path(f"/proc/{child.read_text().split()[0]}/environ").read_bytes()
    known = f"{WORKER}={process.pid}".encode() in environment.split(b"\0")
    assert known is is_worker
    process.send_signal(LEAVE if is_worker else signal.SIGTERM)
    said, _ = process.communicate(timeout=HANGS_S)
    assert process.returncode == (20 if is_worker else STOPPED)
    full = "not even 16 MB can be written on this node, which leaves the cluster"
    assert (full in said) is is_worker


FILLING = """
import os
from pathlib import Path
def main(argv):
    if argv == ["bad"]:
        return 3
    with open(Path(os.environ["MOOLA_RUN_DIR"], "checkpoint"), "wb", buffering=0) as file:
        while file.write(bytes(1 << 20)):
            pass
"""


@pytest.mark.process
def test_a_trial_on_a_full_disk_has_no_end_and_its_node_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    before = signal.signal(LEAVE, lambda number, _: told.append(number))
    (tmp_path / "filling.py").write_text(FILLING)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(WORKER, str(os.getpid()))
    monkeypatch.setenv("MOOLA_RUN_DIR", "")
    try:
        with disk_or_skip(tmp_path / "disk", megabytes=64) as disk:
            assert do_with_room("filling", ["bad"], disk / "0") is False
            assert (disk / "0" / END).exists()
            assert told == []
            assert do_with_room("filling", [], disk / "1") is True
            assert not (disk / "1" / END).exists()
            assert told == [LEAVE]
    finally:
        signal.signal(LEAVE, before)
