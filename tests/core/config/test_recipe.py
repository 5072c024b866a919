from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from moola_core.config.recipe import dump_recipe, load_recipe
from moola_core.errors import ConfigError

RECIPES = sorted((Path(__file__).parents[3] / "configs" / "train").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_shipped_recipe_loads_and_survives_being_written_out(path: Path, tmp_path: Path) -> None:
    recipe = load_recipe(path)
    copy = tmp_path / path.name
    copy.write_text(dump_recipe(recipe))
    assert recipe.name == path.stem
    assert load_recipe(copy) == recipe


def test_the_seed_recipe_keeps_its_faults() -> None:
    seed = load_recipe(RECIPES[0].with_name("seed.yaml"))
    assert (seed.split.kind, seed.split.purge, seed.split.uniqueness_weights) == (
        "random",
        False,
        False,
    )
    assert (seed.targets.span_edge_width, seed.targets.countdown_scale) == (0, 1)
    assert (seed.loss.span, seed.loss.pos_weight) == ("probability", 1)
    assert (seed.decoder.kind, seed.decoder.threshold) == ("threshold", 0.5)
    assert (seed.training.epochs, seed.training.batch_size) == (20, 32)


def test_overrides_change_one_key_each_and_the_last_wins(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text("training: {epochs: 5, batch_size: 8}\n")
    recipe = load_recipe(
        path, ["training.epochs=6", "training.epochs=7", "model.crf=true", "decoder.kind=viterbi"]
    )
    assert (recipe.training.epochs, recipe.training.batch_size) == (7, 8)
    assert recipe.model.crf


@pytest.mark.parametrize(
    ("text", "overrides", "expected"),
    [
        ("trainin: {epochs: 3}", [], "unknown key trainin, expected one of name, data"),
        ("training: {epoch: 3}", [], "unknown key training.epoch, expected one of epochs,"),
        ("training: {epochs: 0}", [], "training.epochs: input should be greater than"),
        ("training: {epochs: [", [], "not YAML"),
        ("- 1", [], "expected keys and values, got list"),
        ("model: {tasks: [type]}", [], "tasks: expected each once"),
        ("model: {hidden_size: 0}", [], "hidden_size: 0 is for the tasks choice and context_type"),
        ("training: {optimizer: lbfgs}", [], "training.optimizer: lbfgs is for a linear model"),
        ("ensemble: {checkpoints: 5}", [], "20 epochs leave 4 checkpoints 5 apart"),
        (
            "ensemble: {checkpoints: 2}\ntraining: {keep: best}",
            [],
            "expected 1 with training.keep best",
        ),
        ("data: {crops: {reach: 105}}", [], "data.crops.reach: input should be less than"),
        ("decoder: {kind: viterbi}", [], "decoder.kind: expected viterbi with model.crf"),
        ("decoder: {min_length: 9, max_length: 3}", [], "min_length: expected at most max_length"),
        ("", ["training.epochs=many"], "--set training.epochs=many: training.epochs: input should"),
        ("", ["epochs=3"], "--set epochs=3: expected section.key=value"),
        ("", ["name.x=3"], "--set name.x=3: name has no keys"),
        ("", ["training.epochs=["], "not a YAML value"),
    ],
)
def test_a_wrong_recipe_is_refused_in_one_line(
    tmp_path: Path, text: str, overrides: list[str], expected: str
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_recipe(path, overrides)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 10


def test_a_missing_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such recipe"):
        load_recipe(tmp_path / "none.yaml")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_writes_no_key_twice(path: Path) -> None:
    sections = yaml.safe_load(path.read_text())
    assert all(isinstance(section, dict) for section in sections.values())
