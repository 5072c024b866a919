"""Which windows of a labelled file train, and which validate."""

from __future__ import annotations

import numpy as np

from moola_core.config.sections import Recipe
from moola_core.data.overlaps import shares_bars
from moola_core.data.splits import make_split
from moola_core.data.windows import Windows
from moola_core.errors import DataError


def split_windows(windows: Windows, recipe: Recipe) -> tuple[Windows, Windows | None]:
    """Return those to train on and those to validate, by the recipe; a share of 0 trains on all.

    Raises:
        DataError: a side would be empty.
    """
    windows = taught_windows(windows, recipe)
    if recipe.split.validation_share == 0:
        return windows, None
    split = make_split(windows, recipe.split, recipe.training.seed)
    return windows.take(split.train), windows.take(split.validation)


def taught_windows(windows: Windows, recipe: Recipe) -> Windows:
    """Return those of a labelled file that the recipe asks for, before any are set aside.

    Raises:
        DataError: there are none, or fewer than it asks for.
    """
    if recipe.data.offsets is not None:
        kept = np.isin(windows.offset, recipe.data.offsets)
        if not kept.any():
            raise DataError(
                f"data.offsets {list(recipe.data.offsets)}: no such window, expected some of"
                f" {np.unique(windows.offset).tolist()}; train on all: --set data.offsets=null"
            )
        windows = windows.take(kept)
    if recipe.data.windows is not None:
        windows = draw(windows, recipe.data.windows, recipe.training.seed)
    return windows


def note_offsets(where: str, windows: Windows, recipe: Recipe) -> None:
    """Print how many windows of a file the recipe does not train on, as it asks for no such shift.

    Whoever made shifted copies would believe that they are learnt from.
    """
    if recipe.data.offsets is None:
        return
    number = int((~np.isin(windows.offset, recipe.data.offsets)).sum())
    if number:
        offsets = f"[{','.join(map(str, recipe.data.offsets))}]"
        print(
            f"note: {where}: {number:,} of {len(windows):,} windows are left out of training, as"
            f" their offset is none of data.offsets={offsets} of recipe {recipe.name};"
            " to train on shifted copies too: --set data.offsets=null"
        )


def note_seen(windows: Windows, train: Windows, recipe: Recipe) -> None:
    """Print how many windows share bars with those that taught a run: it remembers them.

    Args:
        windows: that are to be evaluated.
        train: all of the file that the run was trained on.
        recipe: of the run.
    """
    if train.num_bars != windows.num_bars:
        return
    number = int(shares_bars(windows, split_windows(train, recipe)[0]).sum())
    if number:
        print(
            f"note: {number:,} of {len(windows):,} windows share bars with those that the run was"
            " trained on, so their scores say what it remembers; evaluate others, or see"
            " jobs.crossval"
        )


def draw(windows: Windows, number: int, seed: int) -> Windows:
    """So many of the windows; a larger draw of the same seed holds the smaller one."""
    if number > len(windows):
        raise DataError(
            f"data.windows {number}: expected at most {len(windows)}, all that are left"
        )
    rows = np.random.default_rng(seed).permutation(len(windows))[:number]
    return windows.take(np.sort(rows))
