"""Run ids, command lines and specs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from moola_remote.config.settings import find_project
from moola_remote.errors import ConfigError
from moola_remote.protocol.label import label_of
from moola_remote.protocol.spec import Spec, new_run_id
from moola_remote.runs.launch import TrainOptions, train_argv
from moola_remote.runs.select import FULL_ID

PROJECT = find_project(Path(__file__))


@pytest.mark.parametrize(
    ("command", "label"),
    [
        (["python", "-m", "jobs.review", "--x"], "review"),
        (["python3.11", "-m", "jobs.review"], "review"),
        (["git", "commit", "-m", "words"], "git"),
        (["python", "-m"], "python"),
        (["/bin/Some Tool"], "some-tool"),
        (["..."], "run"),
        (["a" * 23 + "-b"], "a" * 23),
    ],
)
def test_a_label_is_a_word_for_what_runs(command: list[str], label: str) -> None:
    assert label_of(command) == label


def test_a_run_id_is_as_the_protocol_has_it() -> None:
    run_id = new_run_id("A strange_label " * 9)
    assert FULL_ID.fullmatch(run_id)
    assert re.fullmatch(r"[a-z0-9-]{1,64}", run_id)


def test_no_run_id_is_drawn_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moola_remote.protocol.spec._drawn", set())
    drawn = iter(["3f2a", "3f2a", "3f2a", "0b1c"])
    monkeypatch.setattr("secrets.token_hex", lambda _: next(drawn))
    first = new_run_id("x")
    assert new_run_id("other") != first
    assert new_run_id("x") != first


def test_options_become_words_and_what_is_not_given_is_the_recipes() -> None:
    short = ["python", "-m", "jobs.train", "--config", "configs/train/seed.yaml"]
    assert train_argv(PROJECT, "seed", TrainOptions()) == short
    options = TrainOptions(epochs=2, seed=0, use_crf=True, settings=("a=1", "b=2"))
    words = ["--epochs", "2", "--seed", "0", "--use-crf", "--set", "a=1", "--set", "b=2"]
    assert train_argv(PROJECT, "seed", options) == [*short, *words]


@pytest.mark.parametrize("recipe", ["nosuch", "../train/seed", "", "seed.yaml"])
def test_a_recipe_is_a_file_of_its_folder(recipe: str) -> None:
    with pytest.raises(ConfigError, match="unknown, expected one of crf, jade") as caught:
        train_argv(PROJECT, recipe, TrainOptions())
    assert caught.value.cure.startswith("choose with --recipe")


def test_a_spec_has_every_key_of_the_protocol() -> None:
    trees: dict[str, str | None] = {"code": "c" * 16, "data": None, "environment": "e" * 16}
    spec = Spec.new("x", ["true"], trees=trees, source=None, price_per_hour=0.5)
    assert set(json.loads(json.dumps(spec.whole))) == {
        *("schema", "run_id", "argv", "env", "code", "data", "environment", "gpu", "recipe"),
        *("grace_s", "source", "client", "limits", "price_per_hour", "on_finish"),
    }
