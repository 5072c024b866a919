"""Functions that numba compiles, once for each version of this package.

numba names the file that keeps a compiled function by the path of its source. On a pod each run has
a working copy of its own, so that each would compile all of them again. Where ``NUMBA_CACHE_DIR``
is set, as the agent does, they are named by the content of this package instead, and runs of the
same code share them.
"""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar

import numba
from numba.core import event as numba_event

F = TypeVar("F", bound=Callable[..., Any])
PACKAGE = Path(__file__).parents[1]
CONFIG: Any = numba.config
EVENTS: Any = numba_event  # without types, as CONFIG
COMPILE = "numba:compile"  # not raised for what is kept from before


class _Announcer(numba_event.Listener):
    """Says once on stderr that functions are compiled, which takes seconds in silence."""

    def on_start(self, event: Any) -> None:  # noqa: ARG002 - as numba has it
        """Say it, and nothing more."""
        EVENTS.unregister(COMPILE, self)
        sys.stderr.write("compiling, once for this version of the code; it is kept\n")
        sys.stderr.flush()

    def on_end(self, event: Any) -> None:
        """Nothing: the next one is not announced."""


def compiled(**options: Any) -> Callable[[F], F]:
    """Return a decorator: numba compiles the function at its first call, and keeps the result.

    Args:
        options: of ``numba.njit``, beside ``cache``.
    """

    def decorate(function: F) -> F:
        # None before numba 0.61, which then names the file by the path
        classes = getattr(CONFIG, "CACHE_LOCATOR_CLASSES", None)
        _announce()
        if classes is not None and shared_folder() is not None:
            CONFIG.CACHE_LOCATOR_CLASSES = f"{__name__}.Locator"
        try:
            made: F = numba.njit(cache=True, **options)(function)
        finally:
            if classes is not None:
                CONFIG.CACHE_LOCATOR_CLASSES = classes
        return made

    return decorate


@functools.cache
def _announce() -> None:
    EVENTS.register(COMPILE, _Announcer())


@functools.cache
def shared_folder() -> Path | None:
    """Return where compiled functions of this very code are kept; None is beside the source."""
    if not CONFIG.CACHE_DIR:
        return None
    digest = hashlib.sha256()
    try:
        for path in sorted(PACKAGE.rglob("*.py")):
            digest.update(f"{path.relative_to(PACKAGE)}\0".encode() + path.read_bytes() + b"\0")
        folder = Path(CONFIG.CACHE_DIR, f"{PACKAGE.name}-{digest.hexdigest()[:16]}")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:  # no room, not ours to write: numba looks for a place of its own
        return None


class Locator:
    """Where numba keeps one of our functions (NUMBA_CACHE_LOCATOR_CLASSES in numba's manual)."""

    def __init__(self, function: FunctionType, path: str) -> None:
        self._py_file = path
        self._line = function.__code__.co_firstlineno

    @classmethod
    def from_function(cls, function: FunctionType, path: str) -> Locator:
        """Return the locator of a function whose source is at `path`."""
        return cls(function, path)

    def ensure_cache_path(self) -> None:
        """Make the folder."""
        os.makedirs(self.get_cache_path(), exist_ok=True)  # noqa: PTH103 - as numba has it

    def get_cache_path(self) -> str:
        """Return the folder: of this package's content, then the module's place in it."""
        folder = shared_folder()
        assert folder is not None
        return str(folder / Path(self._py_file).parent.relative_to(PACKAGE))

    def get_source_stamp(self) -> str:
        """Return what changes with the source; the folder's name does so already."""
        return ""

    def get_disambiguator(self) -> str:
        """Return what distinguishes functions of one name in one module."""
        return str(self._line)
