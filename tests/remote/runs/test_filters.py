"""Runs by what is known of them: recipe, scores, state."""

from __future__ import annotations

import json
from typing import Any

import pytest

from moola_remote.errors import ConfigError, TransferError
from moola_remote.runs.filters import choose, read_condition, read_known, shown
from tests.support.pods import AgentPod


def run(name: str, f1: float | None, *, size: object = 96, test: bool = False) -> dict[str, Any]:
    scores = {"test" if test else "validation": {"f1": {"value": f1}}} if f1 is not None else None
    config = f"name: jade\nmodel: {{hidden_size: {size}, crf: false}}\ndata: {{test: null}}\n"
    return {"run_id": name, "state": "SUCCEEDED", "config": config, "scores": scores}


RUNS = [run("a", 0.7), run("b", None, size=48), run("c", 0.6004), run("d", 0.9, size=128)]


def names(*conditions: str, sort: str | None = None, runs: Any = RUNS) -> str:
    known = read_known({"runs": runs})
    found = choose(known, [read_condition(text) for text in conditions], sort)
    return "".join(state.run_id for state in found.states)


@pytest.mark.parametrize(
    ("conditions", "found"),
    [
        (["model.hidden_size=96"], "ac"),
        (["hidden_size = 96"], "ac"),
        (["hidden_size!=96"], "bd"),
        (["hidden_size>48", "f1>0.6003"], "acd"),
        (["f1<=0.6004"], "c"),
        (["f1<0.6004"], ""),
        (["crf=false", "data.test=none"], "abcd"),
        (["state=SUCCEEDED", "name>=jade"], "abcd"),
        (["f1=high"], ""),
    ],
)
def test_conditions_choose_runs(conditions: list[str], found: str) -> None:
    assert names(*conditions) == found


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("sweep=20261127-091200-jade-7c1e", "a"),
        ("sweep=7c1e", "a"),
        ("sweep=20261127-0913", "b"),
        ("sweep!=7c1e", "b"),
        ("sweep=7c", ""),
        ("trial=2", "a"),
        ("trial>2", "b"),
    ],
)
def test_runs_of_a_sweep(condition: str, found: str) -> None:
    sweeps = [("20261127-091200-jade-7c1e", 2), ("20261127-091300-jade-1c7e", 10)]
    runs = [{**RUNS[i], "sweep": sweep, "trial": n} for i, (sweep, n) in enumerate(sweeps)]
    assert names(condition, runs=[*runs, {**RUNS[2], "sweep": [1], "trial": None}]) == found


def test_the_largest_is_last_and_what_has_no_value_first() -> None:
    assert names(sort="f1") == "bcad"
    assert names(sort="hidden_size") == "bacd"
    assert names(sort="hidden_size", runs=[run("x", 1, size="big"), *RUNS]) == "bacdx"


def test_a_score_without_its_split_is_that_of_test_where_there_is_one() -> None:
    both = run("a", 0.2, test=True)
    both["scores"]["validation"] = {"f1": {"value": 0.9}}
    found = choose(read_known({"runs": [both]}), [], "f1")
    assert found.columns == {"f1": [0.2]}
    assert choose(read_known({"runs": [both]}), [], "validation.f1").columns["validation.f1"] == [
        0.9
    ]
    assert [shown(value) for value in (0.2, "96", None)] == ["0.200", "96", "-"]


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("hiden_size", "no run has such a key, expected one like model.hidden_size"),
        ("f1", "2 keys end so, expected one like validation.f1, other.f1"),
    ],
)
def test_a_key_that_means_none_or_several_is_refused(key: str, said: str) -> None:
    runs = [{**RUNS[0], "config": "model: {hidden_size: 1}\nother: {f1: 3}", "scores": None}]
    runs[0]["scores"] = {"validation": {}}
    if key == "f1":
        runs[0]["config"] = "validation: {f1: 1}\nother: {f1: 3}"
    with pytest.raises(ConfigError, match=said):
        names(f"{key}=1", runs=runs)


@pytest.mark.parametrize("text", ["f1", "=3", "", "!=2"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected KEY=VALUE"):
        read_condition(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"config": "a: ["},
        {"config": ["no", "text"]},
        {"config": "k\x1b[31m: 1"},
        {"scores": [1]},
        {"scores": {"test": {"f1": {"value": "high"}, "x": 3}}},
        {"scores": {"test": {"f1": {"value": float("nan")}}}},
    ],
)
def test_what_a_pod_makes_up_is_not_known(changes: dict[str, Any]) -> None:
    (known,) = read_known({"runs": [{"run_id": "a", "state": "FAILED", **changes}]})
    assert "f1" not in known.facts
    assert "\x1b" not in "".join(known.facts)


def test_a_list_of_no_runs_is_refused() -> None:
    assert read_known({"runs": None}) == []
    with pytest.raises(TransferError):
        read_known({"runs": [3]})


@pytest.mark.process
def test_the_agent_reports_recipe_and_scores_where_they_can_be_read(pod: AgentPod) -> None:
    script = "echo 'a: 1' >$MOOLA_RUN_DIR/config.yaml; echo '%s' >$MOOLA_RUN_DIR/result.json"
    whole = pod.shell(script % json.dumps({"scores": {"validation": {"f1": {"value": 0.5}}}}))
    broken = pod.shell("mkfifo $MOOLA_RUN_DIR/config.yaml; echo 7 >$MOOLA_RUN_DIR/result.json")
    for run_id in (whole, broken):
        pod.wait(run_id, "SUCCEEDED")
    runs = {one["run_id"]: one for one in pod.ask("list", "--facts")["runs"]}
    assert runs[whole]["config"] == "a: 1\n"
    assert runs[whole]["scores"] == {"validation": {"f1": {"value": 0.5}}}
    assert (runs[broken]["config"], runs[broken]["scores"]) == (None, None)
    assert "config" not in pod.ask("list")["runs"][0]
