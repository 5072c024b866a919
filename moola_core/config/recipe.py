"""Recipes: YAML read into frozen settings; an unknown key or a wrong value is one line.

Every default is here and in no code that reads it. Paths are relative to the data's root.
"""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from moola_core.config.sections import DecoderConfig, Recipe
from moola_core.config.validation import (
    BROKEN_YAML,
    apply_setting,
    first_error,
    flat,
    one_line,
    validate,
)
from moola_core.errors import ConfigError


def load_recipe(path: Path, overrides: list[str] | None = None) -> Recipe:
    """Return the recipe in `path`, changed by ``section.key=value`` overrides.

    Raises:
        ConfigError: no such file, broken YAML, an unknown key or a wrong value, anywhere.
    """
    if not path.is_file():
        raise ConfigError(
            f"{path}: no such recipe, expected a YAML file like configs/train/seed.yaml"
        )
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
    except BROKEN_YAML as err:
        raise ConfigError(f"{path}: not YAML, {one_line(err)}") from err
    if table is not None and not isinstance(table, dict):
        raise ConfigError(f"{path}: expected keys and values, got {type(table).__name__}")
    table = {"name": path.stem, **(table or {})}
    validate(table, str(path))
    for override in overrides or []:
        table = apply_setting(table, override)
    return validate(table, " ".join(f"--set {flat(override)}" for override in overrides or []))


def load_decoder(path: Path) -> DecoderConfig:
    """Return the decoder in `path`, as `dump_decoder` wrote it: a recipe's section `decoder` alone.

    Raises:
        ConfigError: no such file, broken YAML, an unknown key or a wrong value.
    """
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
        return DecoderConfig.model_validate(table["decoder"])
    except OSError as err:
        raise ConfigError(f"{path}: no such file, expected a decoder of jobs.tune") from err
    except ValidationError as err:
        raise ConfigError(f"{path}: {flat(first_error(err), 1000)}") from err
    except BROKEN_YAML as err:
        raise ConfigError(f"{path}: expected YAML with the section decoder") from err


def dump_decoder(decoder: DecoderConfig) -> str:
    """Return the decoder as the section of a recipe."""
    return yaml.safe_dump({"decoder": decoder.model_dump(mode="json")}, sort_keys=False)


def dump_recipe(recipe: Recipe) -> str:
    """Return the recipe as YAML with every key resolved."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
