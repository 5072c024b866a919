"""The event that describes a run."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Any

import torch

from jobs.common.fitting import Loaded, weighed_on
from moola_core.inference.ensemble import columns_recipe, refiner_recipe, trained_recipes
from moola_core.model.jade import count_parameters
from moola_core.model.make import make_model


def run_event(loaded: Loaded) -> dict[str, Any]:
    """Return the keys of the event `run`."""
    recipe = loaded.recipe
    scored = loaded.validation
    if scored is None and recipe.ensemble.columns:
        scored = weighed_on(loaded)
    return {
        "recipe": recipe.name,
        "device": device_name(loaded.device),
        "seed": recipe.training.seed,
        "epochs": sum(one.training.epochs for one in trained_recipes(recipe)),
        "num_parameters": num_parameters(loaded),
        "num_features": loaded.train_tensors.features.shape[2],
        "windows": {
            "train": len(loaded.train),
            "validation": 0 if scored is None else len(scored),
            "test": len(loaded.test) if loaded.test else 0,
        },
        "tasks": list(recipe.model.tasks),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Of Python, of its system, and of the packages that decide what a run gives."""
    packages = ("torch", "numpy", "numba", "pyarrow", "scikit-learn")
    known = {"python": platform.python_version(), "system": platform.platform()}
    known |= {name: metadata.version(name) for name in packages}
    return known | ({"cuda": torch.version.cuda} if torch.version.cuda else {})


def num_parameters(loaded: Loaded) -> int:
    """Of all models together, also of those that are not begun."""
    ensemble = loaded.recipe.ensemble
    number = ensemble.num_answers - len(ensemble.columns)
    number += refiner_recipe(loaded.recipe) is not None
    networks = count_parameters(loaded.runs[0].model) * number
    if not ensemble.columns:
        return networks
    with torch.random.fork_rng():
        columns = make_model(0, columns_recipe(loaded.recipe).model)
    return networks + count_parameters(columns) * len(ensemble.columns)


def device_name(device: torch.device) -> str:
    """``cpu``, or ``cuda`` with the card's name."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return "cpu"
