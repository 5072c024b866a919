"""Where compiled functions are kept: beside their source, or shared by copies of the same code."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from moola_core.io import compiled as module
from moola_core.io.compiled import CONFIG, PACKAGE, compiled, shared_folder
from moola_core.spans import kernels

POSTERIOR, FIRST = np.array([[0.25, 0.75]]), np.array([0, 1, 2])


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of NUMBA_CACHE_DIR, as the agent names one."""
    monkeypatch.setattr(CONFIG, "CACHE_DIR", str(tmp_path / "numba"))
    shared_folder.cache_clear()
    yield tmp_path / "numba"
    shared_folder.cache_clear()


def cover() -> tuple[int, int]:
    """Compile or load a function and call it; how often it was loaded, and how often compiled."""
    function = compiled()(kernels.covered.py_func)  # type: ignore[attr-defined]
    assert function(POSTERIOR, FIRST, 1).tolist() == [[0.25, 0.75]]
    return sum(function.stats.cache_hits.values()), sum(function.stats.cache_misses.values())


def copy_of_the_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Another working copy, seen as the package."""
    shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(module, "PACKAGE", folder)
    shared_folder.cache_clear()
    return module


@pytest.mark.slow
def test_a_second_working_copy_compiles_nothing(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cover() == (0, 1)
    (folder,) = cache.iterdir()
    assert [path.suffix for path in sorted((folder / "spans").iterdir())] == [".nbc", ".nbi"]
    assert cover() == (1, 0)
    copy_of_the_package(tmp_path / "copy" / "moola_core", monkeypatch)
    assert shared_folder() == folder


def test_other_code_shares_nothing(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = shared_folder()
    copy = tmp_path / "copy" / "moola_core"
    copy_of_the_package(copy, monkeypatch)
    # In another file than the function's own: what a function calls is compiled into it.
    other = copy / "spans" / "grid.py"
    other.write_text(other.read_text() + "\n")
    shared_folder.cache_clear()
    assert shared_folder() not in (None, before)


@pytest.mark.parametrize("given", ["", "/proc/no/such"])
def test_without_a_folder_numba_chooses(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CONFIG, "CACHE_DIR", given)
    shared_folder.cache_clear()
    assert shared_folder() is None
    cover()
    assert CONFIG.CACHE_LOCATOR_CLASSES == ""
    shared_folder.cache_clear()
