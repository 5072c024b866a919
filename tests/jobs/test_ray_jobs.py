"""What the jobs of a Ray cluster do without Ray: words, ports, the goal of a result."""

from __future__ import annotations

import json
import math
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from jobs.common.ray_asked import goal_of, read_asked
from jobs.many_ray import main as many_ray
from jobs.ray_node import main as ray_node
from jobs.ray_node import num_slots, start_words
from moola_core.errors import ConfigError


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


@pytest.mark.parametrize(("shown", "slots"), [("0,1,3", 3), ("2", 1), ("", 1)])
def test_a_node_does_a_trial_a_gpu(monkeypatch: pytest.MonkeyPatch, shown: str, slots: int) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    assert num_slots() == slots
