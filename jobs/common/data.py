"""From a recipe and a data folder to runs that can be fitted, and from those to one model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from moola_core.config.sections import Recipe
from moola_core.data.series_checks import in_words
from moola_core.data.window_checks import summarise_faults
from moola_core.data.windows import Windows, read_windows
from moola_core.errors import ConfigError, DataError
from moola_core.io.digest import file_sha256

MAX_TYPES = 64


def data_folder(text: str | None) -> Path:
    """Return the root that a recipe's paths are relative to.

    Raises:
        ConfigError: it is not given, or not there.
    """
    if not text:
        raise ConfigError("data folder: not given, expected --data or MOOLA_DATA_DIR; set one")
    path = Path(text)
    if not path.is_dir():
        raise ConfigError(
            f"data folder {path}: no such folder; set --data, or `make data` for data/synthetic"
        )
    return path


def read_file(
    data_dir: Path, name: str, *, skip_bad: bool, keep_none: bool = False
) -> tuple[Windows, dict[str, Any]]:
    """Return the windows of a file below the data folder, and its entry for result.json.

    Those without a span are passed over, unless `keep_none`.
    """
    path = data_dir / name
    windows, faults = read_windows(path, skip_bad=skip_bad, keep_none=keep_none)
    if faults:
        print(f"note: {path}: {summarise_faults(faults)}")
    return windows, {"path": name, "sha256": file_sha256(path), "windows": len(windows)}


def require_same_bars(path: Path, windows: Windows, others: Windows) -> None:
    """Refuse the windows of a file if their bars are of another length than those of `others`.

    Raises:
        DataError: they are.
    """
    if windows.bar_ns != others.bar_ns:
        raise DataError(
            f"{path}: bars of {in_words(windows.bar_ns)}, expected {in_words(others.bar_ns)},"
            " as the windows to train on have; leave it out: --set data.test=null"
        )
    if windows.num_bars != others.num_bars:
        raise DataError(
            f"{path}: windows of {windows.num_bars} bars, expected {others.num_bars}, as those to"
            " train on have; leave it out: --set data.test=null"
        )


def require_spans(where: str, windows: Windows, recipe: Recipe) -> None:
    """Refuse windows of several spans for a recipe whose model looks for one.

    Raises:
        DataError: they are; or crops are asked for.
    """
    if windows.several is None:
        return
    number = (
        f"{where}: {int((windows.sets[:, 1:, 1] > 0).any(axis=1).sum())} windows of several spans"
    )
    if recipe.model.kind != "unet" or recipe.model.several is False:
        raise DataError(
            f"{number}, recipe {recipe.name} expected one a window; train with"
            " configs/train/span.yaml on a file of such, or make windows without --several"
        )
    if recipe.data.crops is not None:
        raise DataError(
            f"{number}, data.crops expected one a window; leave it out: --set data.crops=null"
        )


def find_device(name: str) -> torch.device:
    """``cpu``, ``cuda``, or ``auto``: a GPU where there is one.

    Raises:
        ConfigError: ``cuda`` where there is none.
    """
    has_cuda = torch.cuda.is_available()
    if name == "cuda" and not has_cuda:
        raise ConfigError(
            "--device cuda: this machine has no usable GPU, expected one; use --device cpu or auto"
        )
    if name == "cpu" or not has_cuda:
        return torch.device("cpu")
    # cuBLAS is deterministic only with a workspace of fixed size, chosen before its first call.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return torch.device("cuda")
