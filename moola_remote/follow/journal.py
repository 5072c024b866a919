"""The journal: the log and events of a run as this laptop has received them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from moola_remote.errors import LimitError
from moola_remote.files import atomic
from moola_remote.files.disk import unwritable
from moola_remote.protocol.frames import FILES, FileName

BLOCK = 1 << 16
# A power cut may spoil what the file system had not written yet; a page at least of it is compared.
TAIL_BYTES = 1 << 14

# A pod must not fill the laptop's disk by talking.
MAX_JOURNAL_BYTES = 10 * 10**9


class Journal:
    """What has arrived of one run: ``log``, ``events.jsonl``, and which files they were.

    Args:
        folder: ``journals/<pod>/<run id>`` of the laptop; made when it is missing.

    Raises:
        LimitError: it can't be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths: dict[FileName, Path] = {
            "log": folder / "log",
            "events": folder / "events.jsonl",
        }
        self._offsets = folder / "offsets"
        with _writing(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._fds = {file: os.open(path, flags, 0o600) for file, path in self.paths.items()}

    def close(self) -> None:
        """Close the files."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds = {}

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def size(self, file: FileName) -> int:
        """Return how far the file has arrived, but for NULs at its end.

        A power cut may leave them in place of the last bytes; true ones arrive once more, at the
        same place.
        """
        end = os.fstat(self._fds[file]).st_size
        while end > 0:
            start = max(0, end - BLOCK)
            kept = os.pread(self._fds[file], end - start, start).rstrip(b"\0")
            if kept:
                return start + len(kept)
            end = start
        return 0

    def read(self, file: FileName, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes [start, stop), in blocks."""
        while start < stop:
            block = os.pread(self._fds[file], min(BLOCK, stop - start), start)
            if not block:
                return
            yield block
            start += len(block)

    def tail(self, file: FileName, stop: int) -> str:
        """Return ``/LENGTH:SHA256`` of the last bytes before `stop`, for the pod to compare."""
        start = max(0, stop - TAIL_BYTES)
        found = os.pread(self._fds[file], stop - start, start)
        return f"/{len(found)}:{hashlib.sha256(found).hexdigest()}"

    def write(self, file: FileName, offset: int, data: bytes) -> None:
        """Put bytes where they belong; another follower may have put the same ones there."""
        if offset + len(data) > MAX_JOURNAL_BYTES:
            raise LimitError(
                f"{self.paths[file]}: expected at most {MAX_JOURNAL_BYTES / 1e9:.0f} GB to follow",
                "the run keeps running; when it has ended: moola-remote fetch logs",
            )
        try:
            while data:
                written = os.pwrite(self._fds[file], data, offset)
                data, offset = data[written:], offset + written
        except OSError as err:
            raise unwritable(self.folder, err) from err

    def generation(self, file: FileName) -> str | None:
        """Return which file on the pod this is, or None where nothing is known."""
        try:
            known = json.loads(self._offsets.read_bytes()).get(file)
        except (OSError, ValueError, AttributeError):
            return None
        return known if isinstance(known, str) else None

    def begin(self, file: FileName, generation: str | None) -> None:
        """Note which file on the pod this is."""
        if generation == self.generation(file):
            return
        known = {name: self.generation(name) for name in FILES}
        with _writing(self.folder):
            atomic.write(self._offsets, json.dumps({"schema": 1, **known, file: generation}))

    def restart(self, file: FileName) -> None:
        """Forget what has arrived of a file."""
        with _writing(self.folder):
            os.ftruncate(self._fds[file], 0)
        self.begin(file, None)


class LogEnd(Journal):
    """A journal for who wants a log from some place on: events are kept, the log is not.

    Args:
        folder: of the journal.
        offset: where the log begins for us.
    """

    def __init__(self, folder: Path, offset: int) -> None:
        super().__init__(folder)
        self._offset = offset
        self._generation: str | None = None

    def size(self, file: FileName) -> int:
        """Return where to resume from."""
        return self._offset if file == "log" else super().size(file)

    def tail(self, file: FileName, stop: int) -> str:
        """Return nothing for the log, of which nothing is kept."""
        return "" if file == "log" else super().tail(file, stop)

    def write(self, file: FileName, offset: int, data: bytes) -> None:
        """Keep events alone."""
        if file != "log":
            super().write(file, offset, data)

    def generation(self, file: FileName) -> str | None:
        """See `Journal.generation`."""
        return self._generation if file == "log" else super().generation(file)

    def begin(self, file: FileName, generation: str | None) -> None:
        """See `Journal.begin`."""
        if file == "log":
            self._generation = generation
        else:
            super().begin(file, generation)

    def restart(self, file: FileName) -> None:
        """See `Journal.restart`."""
        if file != "log":
            super().restart(file)


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        raise unwritable(folder, err) from err
