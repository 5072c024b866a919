"""Write the schema of the recipes again: ``python -m tests.recipe_schema``, after a new key."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from moola_core.config.sections import Recipe

PATH = Path(__file__).parents[1] / "configs" / "train" / "schema.json"


def recipe_schema() -> Any:
    """What a recipe may hold, without the words about it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a default that is a path, which JSON has not
        return _bare(Recipe.model_json_schema())


def _bare(value: Any) -> Any:
    """Without titles and descriptions, which are strings; a key of that name is a schema."""
    if isinstance(value, list):
        return [_bare(item) for item in value]
    if not isinstance(value, dict):
        return value
    words = {"title", "description"}
    return {
        key: _bare(item)
        for key, item in value.items()
        if not (key in words and isinstance(item, str))
    }


def main() -> None:
    """Write it."""
    PATH.write_text(json.dumps(recipe_schema(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
