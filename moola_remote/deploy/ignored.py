"""What git ignores: nothing of it travels as code, and some of it may be missed on the pod."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath

from moola_remote.deploy.left_out import size_of
from moola_remote.deploy.secret_files import is_secret
from moola_remote.text.format import amount
from moola_remote.text.sanitize import safe

# Caches and other leftovers of tools.
JUNK = re.compile(
    "|".join(
        fnmatch.translate(pattern)
        for pattern in (
            *("*.egg-info", "*.egg", "build", "dist", "wheels", "htmlcov", ".coverage*", ".cache"),
            *("*.pyc", "*.pyo", "*.so", "*.o", ".DS_Store", "Thumbs.db", "*.swp", "*~", "*.log"),
            *(".idea", ".vscode", ".direnv", ".eggs", ".pdm-build", ".uv", ".moola*", "*.tmp"),
        )
    )
)
# Where runs write at home.
OUTPUTS = {
    *("outputs", "output", "runs", "results", "logs", "wandb", "mlruns", "lightning_logs"),
    *("multirun", "checkpoints", "ckpts", "tb_logs"),
}
DATA_SUFFIXES = {
    *(".parquet", ".csv", ".tsv", ".json", ".jsonl", ".txt", ".npy", ".npz", ".h5", ".hdf5"),
    *(".arrow", ".feather", ".tfrecord", ".pkl", ".zip", ".tar", ".gz", ".zst", ".bin", ".db"),
    *(".jpg", ".jpeg", ".png", ".wav", ".flac", ".mp3", ".mp4", ".safetensors", ".pt", ".idx"),
}
LOOKED_AT = 200
SIZED_FILES = 2000


def worth_a_word(ignored: Iterable[str], *, data: Collection[str], results: str) -> list[str]:
    """Of the paths that git ignores, those that somebody may look for on the pod.

    Args:
        ignored: below the project's folder; a folder has a slash behind.
        data: paths below the project's folder that travel as data.
        results: where fetched runs go.
    """
    named = {PurePosixPath(path) for path in (*data, results)}
    found = []
    for path in ignored:
        pure = PurePosixPath(path)
        is_named = any(pure == one or one in pure.parents or pure in one.parents for one in named)
        is_junk = any(JUNK.match(part) for part in pure.parts) or is_secret(pure.as_posix())
        if not is_named and not is_junk:
            found.append(path)
    return found


def described(folder: Path, paths: Sequence[str]) -> list[str]:
    """Return each path with its size: ``data/ (1.2 GB)``; without, where it has very many files."""
    found = []
    for path in paths:
        budget = iter(range(SIZED_FILES))
        size = size_of(folder / path, budget)
        is_known = next(budget, None) is not None
        found.append(f"{safe(path, 80)} ({amount(size)})" if is_known else safe(path, 80))
    return found


def is_data(folder: Path) -> bool:
    """Return whether most of the first files below look like data, and none like code."""
    if not folder.is_dir() or folder.name in OUTPUTS or JUNK.match(folder.name):
        return False
    below = (Path(name) for _, _, files in os.walk(folder) for name in files)
    suffixes = [path.suffix.lower() for path in islice(below, LOOKED_AT)]
    num_data = sum(suffix in DATA_SUFFIXES for suffix in suffixes)
    return bool(suffixes) and ".py" not in suffixes and 2 * num_data > len(suffixes)
