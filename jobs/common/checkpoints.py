"""Resuming from a checkpoint: which run it is of, and what is printed about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from moola_core.config.sections import Recipe
from moola_core.errors import CheckpointError
from moola_core.io.event_log import Events
from moola_core.training.checkpoint import Checkpoint, load_latest


def identity_of(recipe: Recipe, files: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what a checkpoint must agree on to be of this run; epochs may be added later.

    Args:
        recipe: of the run.
        files: as in result.json.
    """
    table = recipe.model_dump(mode="json")
    del table["training"]["epochs"]
    return {"recipe": table, "data": files}


def newest_checkpoint(source: Path, identity: dict[str, Any], events: Events | None) -> Checkpoint:
    """Return the latest complete checkpoint of the run in `source`; report torn ones.

    Raises:
        CheckpointError: there is none, or it is of another run than `identity`.
    """
    checkpoint, torn = load_latest(source, lambda one: not _differing(one, identity))
    for key in _differing(checkpoint, identity):
        raise CheckpointError(
            f"{source}: a checkpoint of another run, its {key} differs; start over"
        )
    for line in torn:
        print(f"note: {line}; using the one before")
        if events is not None:
            events.write("note", text=line)
    return checkpoint


def _differing(checkpoint: Checkpoint, identity: dict[str, Any]) -> list[str]:
    """Return the keys of `identity` that a checkpoint does not agree on."""
    held = checkpoint.state["identity"]
    return [key for key, value in identity.items() if held.get(key) != value]
