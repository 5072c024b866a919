"""Files and folders that are written whole or not at all: aside, then renamed."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from moola_core.errors import OutputError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path`, a file or folder to be; rename it to `path` at the end.

    Nothing is left of it where the block raises. Two processes or threads may write at once: the
    last wins. moola_remote.files.atomic is its twin on the laptop: the two packages never meet.

    Raises:
        OutputError: it can't be written or renamed.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_native_id()}")
    try:
        yield aside
        aside.replace(path)
    except OSError as err:
        reason = err.strerror or " ".join(str(err).split())  # pyarrow's have no strerror
        raise OutputError(
            f"{path}: can't be written, {reason}, expected a file in a folder that has room and"
            " may be written to; make room, or name another"
        ) from err
    finally:
        if aside.is_dir():
            shutil.rmtree(aside, ignore_errors=True)
        elif path.parent.is_dir():
            aside.unlink(missing_ok=True)
