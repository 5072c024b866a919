"""Recipes are checked on the laptop as the job would check them, by a schema beside them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moola_core.config.recipe import load_recipe
from moola_remote.config.recipe import check_recipe, check_shared
from moola_remote.config.settings import Project, find_project
from moola_remote.errors import ConfigError
from tests.recipe_schema import recipe_schema

HERE = find_project(Path(__file__))
RECIPES = sorted(path.stem for path in (HERE.folder / HERE.recipes).glob("*.yaml"))


def test_the_schema_is_that_of_the_jobs_recipe() -> None:
    """Made again with: python -m tests.recipe_schema."""
    path = HERE.folder / HERE.recipes / "schema.json"
    assert json.loads(path.read_text(encoding="utf-8")) == recipe_schema()


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_of_ours_passes(recipe: str) -> None:
    assert check_recipe(HERE, recipe) == []


@pytest.mark.parametrize(
    "setting",
    [
        "training.learning_rate=1e-3",  # YAML reads a text
        "training.epochs=40.0",
        "candidates.place=0",
        "data.test=null",
        "model.tasks=[choice, type]",
        "candidates.unit={kind: wilder, bars: 14}",
    ],
)
def test_what_the_job_takes_is_taken_here(setting: str) -> None:
    load_recipe(HERE.folder / HERE.recipes / "jade.yaml", [setting])
    assert check_recipe(HERE, "jade", [setting]) == []


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("training.lr=1", "did you mean training.learning_rate?"),
        ("training.epoch=1", "did you mean training.epochs?"),
        ("trainig.epochs=1", "did you mean training?"),
        ("training.epochs=many", "training.epochs: expected integer, got 'many'"),
        ("training.epochs=-1", "expected at least 1, got -1"),
        ("split.kind=groupd", "expected one of random, grouped, blocked, got 'groupd'"),
        ("model.tasks=[span, spam]", "model.tasks.1: expected one of pointer, type, span"),
        ("model.tasks=span", "model.tasks: expected array, got 'span'"),
        ("data.test=3", "data.test: expected string, got 3"),
        ("candidates.unit={kind: sma, bars: 0}", "candidates.unit.bars: expected at least 1"),
        ("split.validation_share=.nan", "split.validation_share: expected number, got nan"),
        ("epochs=4", "expected section.key=value; for example training.epochs=40"),
        ("training.epochs=[", "not a YAML value"),
        ("name.first=a", "name has no keys"),
        ("training=1", "expected section.key=value"),
    ],
)
def test_what_the_job_refuses_is_refused_here(setting: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_recipe(HERE, "jade", [setting])
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"--set {setting}: ")
    assert "\n" not in str(caught.value)


def test_a_recipe_that_is_not_there_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean jade-ensemble"):
        check_recipe(HERE, "jade-ensembel")


def test_several_gpus_are_for_a_recipe_that_can_share() -> None:
    for gpus in (None, 1):
        check_shared(HERE, "jade", gpus)
    check_shared(HERE, "pretrain", 4)
    with pytest.raises(ConfigError) as caught:
        check_shared(HERE, "jade", 4)
    assert "recipe jade has nothing that several GPUs could share" in str(caught.value)
    assert "sweep --seeds" in str(caught.value)
    check_shared(HERE, "jade", 4, ["pretrain.windows=64"])


def other(folder: Path, **files: str) -> Project:
    (folder / "recipes").mkdir()
    for name, text in files.items():
        (folder / "recipes" / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return Project(folder=folder, recipes=Path("recipes"))


def test_what_another_project_s_job_can_share_is_its_own_business(tmp_path: Path) -> None:
    check_shared(other(tmp_path, calm_yaml="a: 1", schema_json="{}"), "calm", 8)


def test_without_a_schema_a_key_that_the_recipe_has_not_is_only_noted(tmp_path: Path) -> None:
    project = other(tmp_path, calm_yaml="training:\n  learning_rate: 1\n")
    assert check_recipe(project, "calm", ["training.learning_rate=2"]) == []
    (note,) = check_recipe(project, "calm", ["training.lerning_rate=2"])
    assert note.endswith("did you mean training.learning_rate?")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"calm_yaml": "a: ["}, "calm.yaml: not YAML"),
        ({"calm_yaml": "- 1"}, "expected keys and values, got list"),
        ({"calm_yaml": "", "schema_json": "{"}, "schema.json: not a JSON schema"),
        ({"calm_yaml": "", "schema_json": '{"$ref": "#/x"}'}, "schema.json: not a JSON schema"),
        ({"calm_yaml": "", "schema_json": "[]"}, "schema.json: not a JSON schema"),
    ],
)
def test_a_broken_file_is_one_line(tmp_path: Path, files: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_recipe(other(tmp_path, **files), "calm")
    assert said in str(caught.value)
