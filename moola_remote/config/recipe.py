"""A recipe and its changes, checked on the laptop: before anything is sent, or paid for.

What a recipe may hold is the job's to say. It says it in a JSON schema beside the recipes,
``schema.json``, so that nothing of the job has to be installed here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from moola_remote.config.nearest import nearest
from moola_remote.config.schema import first_fault
from moola_remote.config.settings import BROKEN_YAML, Project, one_line, read_text
from moola_remote.errors import ConfigError

SCHEMA = "schema.json"
SHARED = "x-shared-with"  # its sections with which several GPUs can share a training
DATA_PATHS = "x-data-paths"  # its keys that are paths below the data folder of the pod


def check_recipe(project: Project, recipe: str, settings: Sequence[str] = ()) -> list[str]:
    """Return whether the job will take a recipe with `settings`, each ``section.key=value``.

    Args:
        project: where recipes and their schema lie.
        recipe: a file of them.
        settings: what is changed in it, in this order.

    Returns:
        What looks wrong and may be right: without a schema a job's keys are unknown here.

    Raises:
        ConfigError: no such recipe, broken YAML, an unknown key or a wrong value, anywhere.
    """
    path = recipe_path(project, recipe)
    table = _table(path)
    schema = _schema_of(project)
    if schema is None:
        known = list(_keys(table))
        return [note for text in settings if (note := _look_for(text, known, path)) is not None]
    table = {"name": path.stem, **table}
    _validate(schema, table, str(path))
    for text in settings:
        table = _set(table, text)
        _validate(schema, table, f"--set {_flat(text)}")
    return []


def check_shared(
    project: Project, recipe: str, gpus: int | None, settings: Sequence[str] = ()
) -> None:
    """Check that several GPUs have something to share, where the schema says which recipes have.

    Args:
        project: where recipes and their schema lie.
        recipe: a file of them, checked.
        gpus: how many were asked for.
        settings: what is changed in it.

    Raises:
        ConfigError: the recipe has nothing for the second GPU to do.
    """
    sections = (_schema_of(project) or {}).get(SHARED)
    if gpus is None or gpus == 1 or not isinstance(sections, list):
        return
    table: Mapping[str, Any] = _table(recipe_path(project, recipe))
    for text in settings:
        table = _set(table, text)
    if not any(table.get(section) is not None for section in sections):
        named = " or ".join(map(str, sections))
        raise ConfigError(
            f"--gpus {gpus}: recipe {recipe} has nothing that several GPUs could share, expected"
            f" one with the section {named}",
            "leave --gpus out; several runs use several GPUs: moola-remote sweep --seeds 0..3",
        )


def data_files(
    project: Project, recipe: str, settings: Sequence[str] = ()
) -> dict[str, list[str]] | None:
    """Return what a recipe reads below the data folder, where the schema says which keys that are.

    Args:
        project: where recipes and their schema lie.
        recipe: a file of them, checked.
        settings: what is changed in it, checked.

    Returns:
        The paths of each key that has any; None without such a schema, where it may be anything.
    """
    keys = data_keys(project)
    if keys is None:
        return None
    table: Mapping[str, Any] = _table(recipe_path(project, recipe))
    for text in settings:
        table = _set(table, text)
    found = {key: _value_of(table, key) for key in keys}
    return {
        key: [str(path) for path in (value if isinstance(value, list) else [value])]
        for key, value in found.items()
        if value is not None
    }


def data_keys(project: Project) -> list[str] | None:
    """Return the keys of recipes that are data files; None where the schema does not say."""
    keys = (_schema_of(project) or {}).get(DATA_PATHS)
    return list(map(str, keys)) if isinstance(keys, list) else None


def data_sets(reads: Mapping[str, Sequence[str]] | None) -> set[str] | None:
    """Return the data sets that the files of `data_files` are in; None where it may be any."""
    if reads is None:
        return None
    below = (path for paths in reads.values() for path in paths if is_below(path))
    return {path.partition("/")[0] for path in below}


def is_below(path: str) -> bool:
    """Return whether a path that a recipe reads is one below the data folder."""
    return not path.startswith(("/", ".."))


def _value_of(table: Any, key: str) -> Any:
    for part in key.split("."):
        table = table.get(part) if isinstance(table, dict) else None
    return table


def recipe_path(project: Project, recipe: str) -> Path:
    """Return the file of a recipe.

    Raises:
        ConfigError: there is none.
    """
    folder = project.folder / project.recipes
    known = sorted(file.stem for file in folder.glob("*.yaml"))
    if recipe in known:
        return folder / f"{recipe}.yaml"
    if not known:
        raise ConfigError(
            f"recipe {recipe!r}: {folder} has no recipes, expected {recipe}.yaml in it",
            "write it; or start a script, which needs none: moola-remote run -- python SCRIPT",
        )
    near = nearest(recipe, known)
    perhaps = f"; did you mean {near}?" if near else ""
    raise ConfigError(
        f"recipe {recipe!r}: unknown, expected one of {', '.join(known)}",
        f"choose with --recipe, or write {project.recipes.as_posix()}/{recipe}.yaml{perhaps}",
    )


def _table(path: Path) -> dict[str, Any]:
    import yaml

    try:
        table = yaml.safe_load(read_text(path))
    except BROKEN_YAML as err:
        raise ConfigError(f"{path}: not YAML, {one_line(err)}", "fix that line") from err
    if table is not None and not isinstance(table, dict):
        raise ConfigError(f"{path}: expected keys and values, got {type(table).__name__}")
    return table or {}


def _schema_of(project: Project) -> dict[str, Any] | None:
    """Return the schema of the project's recipes; None where it has none."""
    path = project.folder / (project.recipe_schema or project.recipes / SCHEMA)
    if not path.is_file():
        if project.recipe_schema is None:
            return None
        raise ConfigError(f"{path}: no such file", "correct `recipe_schema`")
    try:
        schema = json.loads(read_text(path))
        first_fault(schema, {})
    except (ValueError, RecursionError, TypeError, AttributeError) as err:
        raise ConfigError(f"{path}: not a JSON schema, {one_line(err)}", "make it again") from err
    return dict(schema)


def _validate(schema: Mapping[str, Any], table: Mapping[str, Any], where: str) -> None:
    """Raise a ConfigError unless `table` is as the schema says."""
    fault = first_fault(schema, table)
    if fault is not None:
        raise ConfigError(f"{where}: {_flat(str(fault), 1000)}", fault.cure)


def _set(table: Mapping[str, Any], text: str) -> dict[str, Any]:
    import yaml

    key, equals, value = text.partition("=")
    section, dot, name = key.strip().partition(".")
    where = f"--set {_flat(text)}"
    if not (equals and dot and section and name):
        raise ConfigError(f"{where}: expected section.key=value", "for example training.epochs=40")
    try:
        parsed = yaml.safe_load(value)
    except BROKEN_YAML as err:
        raise ConfigError(f"{where}: not a YAML value, {one_line(err)}") from err
    old = table.get(section) or {}
    if not isinstance(old, dict):
        raise ConfigError(f"{where}: {_flat(section)} has no keys; expected section.key=value")
    return {**table, section: {**old, name: parsed}}


def _keys(table: Mapping[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key, value in table.items():
        found.append(f"{prefix}{key}")
        if isinstance(value, dict):
            found += _keys(value, f"{prefix}{key}.")
    return found


def _look_for(text: str, known: Sequence[str], path: Path) -> str | None:
    key = text.partition("=")[0].strip()
    near = nearest(key, known)
    if key in known or near is None:
        return None
    return f"--set {_flat(text)}: {path.name} has no {_flat(key)}; did you mean {near}?"


def _flat(text: str, limit: int = 200) -> str:
    return " ".join(text.split())[:limit]
