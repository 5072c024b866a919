"""Files and folders that are written whole or not at all: aside, then renamed."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path`, a file or folder to be; rename it to `path` at the end.

    Nothing is left of it where the block raises. Several processes or threads may write at
    once: the last wins.

    Raises:
        OSError: it can't be written or renamed.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_native_id()}")
    try:
        yield aside
        if aside.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        aside.replace(path)
    except OSError as err:
        if err.filename == str(aside):  # a name that nobody knows
            err.filename = str(path)
        raise
    finally:
        if aside.is_dir():
            shutil.rmtree(aside, ignore_errors=True)
        with contextlib.suppress(OSError):  # a read-only disk has an error of its own for that
            aside.unlink()


def write(path: Path, content: bytes | str, *, mode: int = 0o600, sync: bool = True) -> None:
    """Replace `path` by `content`.

    Args:
        path: in a folder that exists.
        content: text is written as UTF-8.
        mode: permissions of the file, less the umask.
        sync: flush to the disk before the rename; without it, a power cut may leave zero bytes.

    Raises:
        OSError: it can't be written.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    with replacing(path) as aside:
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with open(fd, "wb") as file:  # noqa: PTH123 - of a descriptor with its mode
            file.write(data)
            if sync:
                file.flush()
                os.fsync(fd)
