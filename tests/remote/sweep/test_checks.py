"""What would cost and say nothing is refused before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from moola_remote.config.settings import find_project
from moola_remote.errors import ConfigError
from moola_remote.sweep.checks import check_plan
from moola_remote.sweep.command import fill, trial_argv
from moola_remote.sweep.plan import Plan, read_goal

PROJECT = find_project(Path(__file__).parent)


def check(**keys: Any) -> list[str]:
    plan = {"recipe": "jade", "goal": read_goal("f1"), "trials": 4, "pods": ["local"], **keys}
    return check_plan(PROJECT, Plan(sweep_id="s-1", label="s", **plan))


@pytest.mark.parametrize(
    "keys",
    [
        {"spaces": ["training.learning_rate=log:3e-4..1e-2", "model.hidden_size=16,32,96"]},
        {"spaces": ["training.epochs=5..40"], "early": "asha"},
        {"seeds": [0, 1, 2]},
        {"grid": ["model.hidden_size=16,32"], "seeds": [1, 2]},
        {"recipe": None, "command": ["python", "t.py", "--lr={lr}"], "spaces": ["lr=0.1..1"]},
        {
            "recipe": "jade-ensemble",
            "settings": ["split.validation_share=0.2"],
            "spaces": ["loss.ridge=log:1e-3..1"],
        },
    ],
)
def test_what_makes_sense_is_taken(keys: dict[str, Any]) -> None:
    assert check(**keys) == []


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "nothing to try"),
        ({"seeds": [1, 2], "max_cost_usd": 1.0}, "the price of pod local is not known"),
        ({"spaces": ["training.learning_rat=0.1..1"]}, "did you mean training.learning_rate"),
        ({"spaces": ["training.learning_rate=-1.0..1"]}, "expected more than 0"),
        ({"spaces": ["model.hidden_size=1.0..9"]}, "expected integer"),
        ({"spaces": ["decoder.kind=threshold,viterby"]}, "expected one of"),
        ({"spaces": ["loss.ridge=0..1", "loss.ridge=0..2"]}, "given twice"),
        ({"spaces": ["loss.ridge=0..1"], "settings": ["loss.ridge=1"]}, "given twice"),
        ({"spaces": ["loss.ridge=0..1"], "seeds": [1, 2]}, "expected one of them"),
        (
            {"recipe": "jade-ensemble", "spaces": ["loss.ridge=log:1e-3..1"]},
            "no run has a score.*--folds 5.*validation_share=0.2",
        ),
        (
            {
                "recipe": "jade-ensemble",
                "settings": ["split.validation_share=0.2"],
                "seeds": [0, 1],
            },
            "every seed gives the same",
        ),
        (
            {
                "recipe": "jade-ensemble",
                "settings": ["split.validation_share=0.2"],
                "spaces": ["loss.ridge=log:1e-3..1"],
                "early": "asha",
            },
            "epochs of an ensemble count on",
        ),
        (
            {"recipe": None, "command": ["python", "t.py"], "spaces": ["lr=0.1..1"]},
            "the command never uses it",
        ),
        (
            {"recipe": None, "command": ["t", "{lr}"], "spaces": ["lr=0.1..1"], "metric": "x"},
            "expected a group",
        ),
    ],
)
def test_what_makes_none_is_refused(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check(**keys)


def test_a_trial_is_judged_by_cross_validation() -> None:
    plan = Plan(
        sweep_id="s-1", label="s", recipe="jade-ensemble", goal=read_goal("f1"),
        trials=2, pods=["local"], folds=5, spaces=["loss.ridge=log:1e-3..1"],
    )  # fmt: skip
    assert check_plan(PROJECT, plan) == []
    assert plan.score_key == "recipe.f1"
    words = " ".join(trial_argv(PROJECT, plan, {"loss.ridge": 0.02}))
    assert words == (
        "python -m jobs.crossval --config configs/train/jade-ensemble.yaml --set loss.ridge=0.02 "
        "--folds 5 --repeats 1 --out result.json"
    )


@pytest.mark.parametrize(
    "keys", [{"seeds": [0, 1]}, {"spaces": ["loss.ridge=0..1"], "early": "asha"}]
)
def test_what_folds_do_not_go_with(keys: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="--folds"):
        check(folds=5, **keys)


def test_values_stand_where_their_names_do() -> None:
    words = ["--lr={lr}", "{'a': {lr}}", "{other}", "{lr}{n}"]
    assert fill(words, {"lr": 0.1, "n": 3}) == ["--lr=0.1", "{'a': 0.1}", "{other}", "0.13"]


@pytest.mark.parametrize(
    ("text", "direction"),
    [
        ("f1", "maximize"),
        ("iou50", "maximize"),
        ("ece", "minimize"),
        ("validation.false_alarms", "minimize"),
        ("center_mae", "minimize"),
        ("val_loss", "minimize"),
        ("loss:max", "maximize"),
        ("ece:max", "maximize"),
        ("accuracy:min", "minimize"),
    ],
)
def test_what_is_better_low_is_minimised_unasked(text: str, direction: str) -> None:
    goal = read_goal(text)
    assert goal.direction == direction
    assert goal.name == text.partition(":")[0]
