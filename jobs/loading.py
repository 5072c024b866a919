"""From a recipe and a data folder to a run that can be fitted."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from moola_core.config import Recipe
from moola_core.dataset import make_tensors
from moola_core.errors import ConfigError
from moola_core.metrics import Truth
from moola_core.model import JadeCompact
from moola_core.splits import make_split
from moola_core.training import Run, seed_everything
from moola_core.windows import Windows, file_sha256, read_windows, summarise_faults


@dataclass(frozen=True)
class Loaded:
    """A run with the windows behind its tensors; `files` as in result.json."""

    recipe: Recipe
    run: Run
    train: Windows
    validation: Windows
    test: Windows | None
    files: list[dict[str, Any]]


def load_run(recipe: Recipe, data_dir: Path, device_name: str, *, skip_bad: bool) -> Loaded:
    """Read the data, split it, and build model and tensors on the device.

    Raises:
        ConfigError: the device is not there.
        DataError: a file is missing or bad.
    """
    device = find_device(device_name)
    windows, entry = read_file(data_dir, recipe.data.labelled.as_posix(), skip_bad=skip_bad)
    files, test = [entry], None
    if recipe.data.test is not None:
        test, entry = read_file(data_dir, recipe.data.test.as_posix(), skip_bad=skip_bad)
        files.append(entry)
    split = make_split(windows, recipe.split, recipe.training.seed)
    train, validation = windows.take(split.train), windows.take(split.validation)
    seed_everything(recipe.training)
    reflection = recipe.training.reflection
    train_tensors = make_tensors(train, recipe, device, reflection=reflection)
    run = Run(
        recipe=recipe,
        model=JadeCompact(train_tensors.features.shape[2], recipe.model).to(device),
        train=train_tensors,
        validation=make_tensors(validation, recipe, device),
        truth=truth_of(validation),
        device=device,
        identity={"recipe": _without_epochs(recipe), "data": files},
    )
    return Loaded(recipe, run, train, validation, test, files)


def truth_of(windows: Windows) -> Truth:
    """What the metrics compare with."""
    return Truth(windows.spans, windows.types, windows.group)


def data_folder(text: str | None) -> Path:
    """The root that a recipe's paths are relative to.

    Raises:
        ConfigError: it is not given, or not there.
    """
    if not text:
        raise ConfigError("data folder: not given, expected --data or MOOLA_DATA_DIR")
    path = Path(text)
    if not path.is_dir():
        raise ConfigError(f"data folder {path}: no such folder; set --data")
    return path


def read_file(data_dir: Path, name: str, *, skip_bad: bool) -> tuple[Windows, dict[str, Any]]:
    """The windows of a file below the data folder, and its entry for result.json."""
    path = data_dir / name
    windows, faults = read_windows(path, skip_bad=skip_bad)
    if faults:
        print(f"note: {path}: {summarise_faults(faults)}")
    return windows, {"path": name, "sha256": file_sha256(path), "windows": len(windows)}


def _without_epochs(recipe: Recipe) -> dict[str, Any]:
    """More epochs may be added when a run is resumed; anything else makes it another run."""
    table = recipe.model_dump(mode="json")
    del table["training"]["epochs"]
    return table


def find_device(name: str) -> torch.device:
    """``cpu``, ``cuda``, or ``auto``: a GPU where there is one.

    Raises:
        ConfigError: ``cuda`` where there is none.
    """
    has_cuda = torch.cuda.is_available()
    if name == "cuda" and not has_cuda:
        raise ConfigError("--device cuda: this machine has no usable GPU; use --device cpu or auto")
    if name == "cpu" or not has_cuda:
        return torch.device("cpu")
    # cuBLAS is deterministic only with a workspace of fixed size, chosen before its first call.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return torch.device("cuda")
