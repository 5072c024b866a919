"""A sweep's cluster as the laptop has it: its runs, their ports, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from jobs.common.ray_asked import read_asked
from moola_remote.config.settings import find_project
from moola_remote.errors import (
    ConfigError,
    HostKeyError,
    LimitError,
    MoolaError,
    NoPythonError,
    PodGoneError,
    UnreachableError,
)
from moola_remote.protocol.state import RunState
from moola_remote.sweep.checks import check_plan
from moola_remote.sweep.cluster import (
    Cluster,
    Member,
    asked_of,
    new_cluster,
    read_cluster,
    write_cluster,
)
from moola_remote.sweep.command import node_argv, ray_argv
from moola_remote.sweep.coordinator import Coordinator
from moola_remote.sweep.drive import Crew
from moola_remote.sweep.drive_ray import Driving, drive_ray
from moola_remote.sweep.packed import read_begun
from moola_remote.sweep.plan import Plan, SweepFolder, read_goal
from moola_remote.sweep.study import Study
from moola_remote.sweep.trial import Attempt
from tests.remote.sweep.test_coordinator import Heard

PROJECT = find_project(Path(__file__).parent)
HOSTS = [("a", "10.0.0.5"), ("a.2", "10.0.0.6"), ("b", "10.0.0.7")]


def plan_of(**keys: Any) -> Plan:
    table = {"recipe": "jade", "spaces": ["model.hidden_size=16..32"], "engine": "ray", **keys}
    table = {"goal": read_goal("f1"), "trials": 4, "pods": ["local"], **table}
    return Plan(sweep_id=table.pop("sweep_id", "s-1"), label="s", **table)


def test_the_first_pod_is_the_head_and_has_the_driver() -> None:
    cluster = new_cluster(plan_of(), 0, HOSTS)
    assert [one.role for one in cluster.members] == ["head", "worker", "worker", "driver"]
    assert [one.pod for one in cluster.members] == ["a", "a.2", "b", "a"]
    assert cluster.address == f"10.0.0.5:{cluster.nodes[0].port}"
    assert [one.role for one in cluster.backwards][0::3] == ["driver", "head"]
    assert len({one.run_id for one in cluster.members}) == 4


def test_ports_of_a_node_are_a_hundred_of_its_own_below_those_of_the_system() -> None:
    for number in range(50):
        nodes = new_cluster(plan_of(sweep_id=f"s-{number}"), 0, HOSTS).nodes
        assert [one.port - nodes[0].port for one in nodes] == [0, 100, 200]
        assert 20_000 <= nodes[0].port < nodes[-1].port + 100 < 32_768


def test_somebody_elses_cluster_gets_a_driver_alone() -> None:
    cluster = new_cluster(plan_of(address="10.9.9.9:6379"), 0, HOSTS[:1])
    assert (cluster.address, cluster.nodes) == ("10.9.9.9:6379", [])
    assert cluster.driver.role == "driver"


def test_a_cluster_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder, cluster = SweepFolder(tmp_path), new_cluster(plan_of(), 3, HOSTS)
    assert read_cluster(folder) is None
    write_cluster(folder, cluster)
    assert read_cluster(folder) == cluster
    folder.cluster.write_text('{"first": 0, "address": "a:1", "members": []}')
    with pytest.raises(ConfigError, match=r"cluster\.json: members"):
        read_cluster(folder)


def test_the_driver_reads_what_it_is_asked() -> None:
    spaces = ["training.learning_rate=log:1e-5..1e-2", "model.gate=true,false"]
    plan = plan_of(spaces=spaces, settings=["training.epochs=3"])
    argv = ray_argv(PROJECT, plan, asked_of(plan, new_cluster(plan, 1, HOSTS)))
    assert argv[:4] == ["python", "-m", "jobs.many_ray", "jobs.train"]
    asked = read_asked(argv[4])
    assert (asked.first, asked.trials, asked.mode, asked.is_own) == (1, 3, "max", True)
    assert asked.argv({"training.learning_rate": 1e-05, "model.gate": True}) == [
        *("--config", "configs/train/jade.yaml", "--set", "training.epochs=3"),
        *("--set", "training.learning_rate=1e-05", "--set", "model.gate=true"),
    ]


def test_a_static_plan_is_tried_row_by_row() -> None:
    plan = plan_of(spaces=[], seeds=[3, 4, 5], trials=3)
    asked = asked_of(plan, new_cluster(plan, 1, HOSTS))
    assert asked["points"] == [{"seed": 4}, {"seed": 5}]
    text = json.dumps({"words": ["--config", "c"], **asked})
    assert read_asked(text).argv({"seed": 4}) == ["--config", "c", "--seed", "4"]


def test_a_worker_is_pointed_to_the_head() -> None:
    head = node_argv(PROJECT, "10.0.0.5", 24000, None)
    assert head == ["python", "-m", "jobs.ray_node", "--host", "10.0.0.5", "--port", "24000"]
    worker = node_argv(PROJECT, "10.0.0.6", 24100, "10.0.0.5:24000")
    assert worker[-2:] == ["--head", "10.0.0.5:24000"]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"early": "asha"}, "--early: not with --engine ray"),
        ({"pack": 2}, "--pack: not with --engine ray"),
        ({"metric": r"loss (\S+)"}, "--metric: not with --engine ray"),
        ({"recipe": None, "command": ["x", "{a}"], "spaces": ["a=0..1"]}, "recipes tried in warm"),
        ({"spaces": ["training.threads=1,2"]}, "--engine ray trials share one"),
        ({"pods": ["local", "local.2"], "address": "h:1"}, "has its own nodes"),
        ({"pods": ["runpod-4090"]}, "can't reach runpod-4090.*global_networking: true"),
        ({"engine": "pods", "address": "h:1"}, "expected --engine ray"),
    ],
)
def test_what_a_cluster_can_not_do_is_refused(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_plan(PROJECT, plan_of(**keys))
    assert re.search(said, str(caught.value))


def test_what_a_cluster_can_do_is_taken() -> None:
    assert check_plan(PROJECT, plan_of(pods=["local", "local.2"])) == []
    assert check_plan(PROJECT, plan_of(address="10.0.0.5:6379")) == []


def test_trials_of_a_driver_are_adopted_with_their_numbers(tmp_path: Path) -> None:
    plan = plan_of(spaces=["model.hidden_size=16..32", "loss.ridge=log:1e-3..1"])
    study = Study(tmp_path / "study.journal", plan, is_writing=True)
    attempt = Attempt("run-1", "a", is_packed=True)
    first = study.adopt({"model.hidden_size": 20, "loss.ridge": 0.5}, [attempt])
    second = study.adopt({"model.hidden_size": 21, "loss.ridge": 0.25}, [attempt, attempt])
    assert [(one.number, one.state, len(one.attempts)) for one in (first, second)] == [
        (0, "running", 1),
        (1, "running", 2),
    ]
    assert second.params == {"model.hidden_size": 21, "loss.ridge": 0.25}
    assert second.folder(tmp_path) == tmp_path / "run-1" / "trials" / "1"
    with pytest.raises(ConfigError, match="trial 2: not of the spaces"):
        study.adopt({"model.hidden_size": 99, "loss.ridge": 0.5}, [attempt])
    again = Study(tmp_path / "study.journal", plan, is_writing=False)
    assert [one.params for one in again.trials()] == [first.params, second.params]


@pytest.mark.parametrize("is_removed", [True, False])
def test_a_head_that_is_gone_ends_the_workers_and_a_stopped_one_may_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_removed: bool
) -> None:
    folder, plan = SweepFolder(tmp_path), plan_of()
    write_cluster(folder, new_cluster(plan, 0, HOSTS))
    ended: list[str] = []

    def is_unknown(*_: object) -> bool:
        raise PodGoneError("pod a: gone", "up", is_removed=is_removed)

    monkeypatch.setattr(Driving, "is_unknown", is_unknown)
    monkeypatch.setattr(Driving, "end_nodes", lambda *_, **__: ended.append("nodes"))
    crew = Crew(
        pytest.fail,
        Heard(),
        release=lambda name: ended.append(f"release {name}"),
        lose=lambda name: ended.append(f"lose {name}"),
    )
    coordinator = drive_ray(folder, plan, crew)
    assert ended == ["nodes", "release a.2", "release b", "lose a"]
    assert folder.cluster.exists() is not is_removed
    with pytest.raises(PodGoneError):
        coordinator.check_end()


class Asked:
    """What a cluster asks of its pods; `bad` are those whose runs can't be started."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, bad: Mapping[str, MoolaError]) -> None:
        self.bad, self.heard, self.seen = bad, Heard(), list[str]()
        monkeypatch.setattr(Driving, "_bring_up", lambda _, name: f"host-{name}")
        monkeypatch.setattr(Driving, "_start", self.start)
        monkeypatch.setattr(Driving, "end_nodes", lambda *_, **__: self.seen.append("ended"))

    def start(self, cluster: Cluster, member: Member, token: str) -> None:
        del cluster, token
        if member.pod in self.bad:
            raise self.bad[member.pod]
        self.seen.append(f"{member.role} on {member.pod}")

    def driving(self, folder: SweepFolder, plan: Plan, deploy: Callable[[str], Any]) -> Driving:
        study = Study(folder.journal, plan, is_writing=True)
        release = lambda name: self.seen.append(f"release {name}")  # noqa: E731
        crew = Crew(deploy, self.heard, release=release)
        return Driving(folder, plan, crew, study, Coordinator(study, plan, self.heard))


def test_a_pod_that_can_not_be_sent_code_takes_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = {
        "full": LimitError("pod full: not even 16 MB can be written", "make it larger"),
        "changed": HostKeyError("pod changed: not its host key"),
        "old": NoPythonError("pod old: no Python"),
    }

    def deploy(name: str) -> None:
        if name in errors:
            raise errors[name]

    asked = Asked(monkeypatch, {})
    plan = plan_of(pods=["full", "a", "changed", "old", "b"])
    cluster = asked.driving(SweepFolder(tmp_path), plan, deploy).begin()
    assert cluster is not None
    assert [one.pod for one in cluster.members] == ["a", "b", "a"]
    assert asked.heard.notes[:3] == [
        "pod full is no longer used: not even 16 MB can be written; make it larger",
        "pod changed is no longer used: not its host key",
        "pod old is no longer used: no Python",
    ]
    runs = ["head on a", "worker on b", "driver on a"]
    assert asked.seen == ["release full", "release changed", *runs]


@pytest.mark.parametrize("bad", ["a", "b"])
def test_a_cluster_is_begun_without_the_pod_whose_run_can_not_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: str
) -> None:
    asked = Asked(monkeypatch, {bad: UnreachableError(f"pod {bad}: no route")})
    driving = asked.driving(SweepFolder(tmp_path), plan_of(pods=["a", "b"]), lambda _: None)
    cluster = driving.begin()
    assert cluster is not None
    good = {"a": "b", "b": "a"}[bad]
    before = ["head on a"] if bad == "b" else []
    assert asked.seen == [*before, "ended", f"head on {good}", f"driver on {good}"]
    assert read_cluster(SweepFolder(tmp_path)) == cluster


def test_a_cluster_whose_pods_are_all_bad_ends_with_the_first_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = {name: UnreachableError(f"pod {name}: no route") for name in ("a", "b")}
    asked, folder = Asked(monkeypatch, errors), SweepFolder(tmp_path)
    driving = asked.driving(folder, plan_of(pods=["a", "b"]), lambda _: None)
    assert driving.begin() is None
    assert not folder.cluster.exists()
    with pytest.raises(UnreachableError, match="pod a: no route"):
        driving.coordinator.check_end()


def test_what_is_wrong_whatever_the_pod_ends_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(monkeypatch, {"b": LimitError("nothing is left of --max-cost")})
    driving = asked.driving(SweepFolder(tmp_path), plan_of(pods=["a", "b"]), lambda _: None)
    with pytest.raises(LimitError, match="nothing is left"):
        driving.begin()
    assert asked.seen == ["head on a", "ended"]


def begun_in(folder: Path, number: int, exit_code: int | None) -> None:
    """Write what a driver has of a trial; without an end where it has no exit code."""
    trial = folder / "trials" / str(number)
    trial.mkdir(parents=True)
    begun = {"params": {"model.hidden_size": 16 + number}, "nodes": ["n"]}
    (trial / "params.json").write_text(json.dumps(begun))
    scores = {"validation": {"f1": {"value": 0.5, "low": 0.4, "high": 0.6}}}
    if exit_code is not None:
        end = {"exit_code": exit_code, "signal": None, "seconds": 1.0}
        (trial / "end.json").write_text(json.dumps(end))
        (trial / "result.json").write_text(json.dumps({"scores": scores}))


@pytest.mark.parametrize(
    ("ended", "states"),
    [
        ({"state": "LOST"}, ["complete", "failed", "complete"]),
        ({"state": "FAILED", "returncode": 20}, ["complete", "failed", "complete"]),
        ({"state": "PREEMPTED"}, ["complete", "failed", "complete"]),
        ({"state": "SUCCEEDED"}, ["complete", "failed", "complete", "failed"]),
        ({"state": "CANCELLED"}, ["complete", "failed", "complete", "failed"]),
        (
            {"state": "FAILED", "reason": "max_time_s: 60 s"},
            ["complete", "failed", "complete", "failed"],
        ),
    ],
)
def test_the_newest_trials_that_were_lost_with_the_driver_are_left_to_the_next(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ended: dict[str, Any],
    states: list[str],
) -> None:
    folder, plan = SweepFolder(tmp_path), plan_of()
    asked = Asked(monkeypatch, {})
    driving = asked.driving(folder, plan, lambda _: None)
    cluster = new_cluster(plan, 0, HOSTS)
    for number, exit_code in enumerate([0, 1, 0, None]):
        begun_in(tmp_path / cluster.driver.run_id, number, exit_code)
    state = RunState(run_id=cluster.driver.run_id, **ended)
    driving._take_over(cluster, state, tmp_path)
    assert [one.state for one in driving.study.trials()] == states
    assert driving.coordinator.is_over is (len(states) == 4)
    said = "trial 3: lost with the driver, to be done again"
    assert (said in asked.heard.notes) is (len(states) == 3)


def test_what_a_trial_was_begun_with_is_read_as_far_as_it_can_be(tmp_path: Path) -> None:
    assert read_begun(tmp_path) is None
    path = tmp_path / "params.json"
    path.write_text('{"schema": 1, "params": {"a": 1, "b": "x", "c": null}, "nodes": ["n", "m"]}')
    begun = read_begun(tmp_path)
    assert begun is not None
    assert (begun.params, begun.nodes) == ({"a": 1, "b": "x", "c": None}, ["n", "m"])
    path.write_text('{"params": {"a": [1]}, "nodes": []}')
    assert read_begun(tmp_path) is None
