"""A recipe and its changes, checked on the laptop: before anything is sent, or paid for.

What a recipe may hold is the job's to say. It says it in a JSON schema beside the recipes,
``schema.json``, so that nothing of the job has to be installed here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moola_remote.config.nearest import nearest
from moola_remote.config.settings import BROKEN_YAML, Project, one_line, read_text, shown
from moola_remote.errors import ConfigError

if TYPE_CHECKING:
    from fastjsonschema import JsonSchemaValueException

SCHEMA = "schema.json"
# More values than any recipe has: each may be a number in quotes.
MAX_NUMBERS = 1000

Check = Callable[[Any], Any]


def check_recipe(project: Project, recipe: str, settings: Sequence[str] = ()) -> list[str]:
    """Whether the job will take a recipe with `settings`, each ``section.key=value``.

    Args:
        project: where recipes and their schema lie.
        recipe: a file of them.
        settings: what is changed in it, in this order.

    Returns:
        What looks wrong and may be right: without a schema nobody here knows a job's keys.

    Raises:
        ConfigError: no such recipe, broken YAML, an unknown key or a wrong value, anywhere.
    """
    path = recipe_path(project, recipe)
    table = _table(path)
    check = _schema_of(project)
    if check is None:
        known = list(_keys(table))
        return [note for text in settings if (note := _look_for(text, known, path)) is not None]
    table = {"name": path.stem, **table}
    _validate(check, table, str(path))
    for text in settings:
        table = _set(table, text)
        _validate(check, table, f"--set {_flat(text)}")
    return []


def recipe_path(project: Project, recipe: str) -> Path:
    """The file of a recipe.

    Raises:
        ConfigError: there is none.
    """
    folder = project.folder / project.recipes
    known = sorted(file.stem for file in folder.glob("*.yaml"))
    if recipe in known:
        return folder / f"{recipe}.yaml"
    near = nearest(recipe, known)
    perhaps = f"; did you mean {near}?" if near else ""
    raise ConfigError(
        f"recipe {recipe!r}: unknown, expected one of {', '.join(known) or 'none'}",
        f"choose with --recipe, or write {project.recipes.as_posix()}/{recipe}.yaml{perhaps}",
    )


def _table(path: Path) -> dict[str, Any]:
    import yaml

    try:
        table = yaml.safe_load(read_text(path))
    except BROKEN_YAML as err:
        raise ConfigError(f"{path}: not YAML, {one_line(err)}", "mend that line") from err
    if table is not None and not isinstance(table, dict):
        raise ConfigError(f"{path}: expected keys and values, got {type(table).__name__}")
    return table or {}


def _schema_of(project: Project) -> Check | None:
    """The check of the project's schema; None where it has none."""
    path = project.folder / (project.recipe_schema or project.recipes / SCHEMA)
    if not path.is_file():
        if project.recipe_schema is None:
            return None
        raise ConfigError(f"{path}: no such file", "correct `recipe_schema`")
    import fastjsonschema

    try:
        check: Check = fastjsonschema.compile(json.loads(read_text(path)))
    except (ValueError, RecursionError, fastjsonschema.JsonSchemaDefinitionException) as err:
        raise ConfigError(f"{path}: not a JSON schema, {one_line(err)}", "make it anew") from err
    return check


def _validate(check: Check, table: Mapping[str, Any], where: str) -> None:
    """Whether the job would take `table`, which takes a number in quotes: YAML reads 1e-3 as one.

    Raises:
        ConfigError: it would not.
    """
    tried = json.loads(json.dumps(table, default=str))
    for _ in range(MAX_NUMBERS):
        err = _first_fault(check, tried)
        if err is None:
            return
        if not _is_mended(tried, err):
            raise ConfigError(f"{where}: {_fault(err)}", _cure(err)) from err


def _first_fault(check: Check, table: Any) -> JsonSchemaValueException | None:
    import fastjsonschema

    try:
        check(table)
    except fastjsonschema.JsonSchemaValueException as err:
        return err
    return None


def _is_mended(table: Any, err: JsonSchemaValueException) -> bool:
    """Replace what stands for a number or for a truth; whether there was such a thing."""
    if err.rule not in ("type", "anyOf"):
        return False
    meant = _meant(err.value, err.definition)
    if meant is None:
        return False
    *above, last = err.path[1:]
    for key in above:
        table = table[_index(table, key)]
    table[_index(table, last)] = meant
    return True


def _index(table: Any, key: str) -> Any:
    return int(key) if isinstance(table, list) else key


def _meant(value: Any, definition: Mapping[str, Any]) -> Any:
    options = definition.get("anyOf") or [definition]
    kinds = {option.get("type") for option in options if isinstance(option, dict)}
    if "boolean" in kinds and value in (0, 1) and not isinstance(value, bool):
        return bool(value)
    if isinstance(value, bool) and kinds & {"integer", "number"}:
        return int(value)
    if not isinstance(value, str) or not kinds & {"integer", "number"}:
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return int(number) if math.isfinite(number) and number.is_integer() else number


def _fault(err: JsonSchemaValueException) -> str:
    where = ".".join(err.path[1:])
    if err.rule == "additionalProperties":
        known = list(err.definition.get("properties", {}))
        unknown = ".".join(filter(None, (where, _unknown(err))))
        return f"unknown key {_flat(unknown)}, expected one of {', '.join(known)}"
    says = _flat(err.message.removeprefix(err.name).strip() or "is wrong", 300)
    return f"{where}: {says}, got {shown(err.value)}".removeprefix(": ")


def _cure(err: JsonSchemaValueException) -> str:
    if err.rule != "additionalProperties":
        return "correct it"
    near = nearest(_unknown(err), list(err.definition.get("properties", {})))
    prefix = ".".join(err.path[1:])
    return f"did you mean {'.'.join(filter(None, (prefix, near)))}?" if near else "remove it"


def _unknown(err: JsonSchemaValueException) -> str:
    known = err.definition.get("properties", {})
    return next((str(key) for key in err.value if key not in known), "")


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
