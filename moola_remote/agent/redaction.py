"""The secrets of a run, struck from its log and events, and wiped at its end."""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path
from typing import Iterator, List, Optional

from moola_remote.agent.constants import BLOCK
from moola_remote.agent.errors import report
from moola_remote.agent.files import open_file, read_json, size_of
from moola_remote.agent.layout import Run


class Mask:
    """Strikes secrets out of what a job writes, by as many stars: offsets stay what they are."""

    FILE = ".secrets.json"
    SHORTEST = 6

    def __init__(self, values: List[str]) -> None:
        texts = {text for value in values for text in [value, *value.splitlines()]}
        # As they stand in events and in Python's messages, too.
        escaped = {json.dumps(text, ensure_ascii=False)[1:-1] for text in texts}
        escaped |= {repr(text)[1:-1] for text in texts}
        texts |= escaped | {json.dumps(text)[1:-1] for text in texts}
        # An environment may hold any bytes.
        whole = {text.encode("utf-8", "surrogateescape") for text in texts}
        forms = {form for form in whole if len(form) >= self.SHORTEST}
        self.forms = sorted(forms, key=len, reverse=True)  # one may hold another
        self.pattern = re.compile(b"|".join(map(re.escape, self.forms)) or b"(?!)")
        # A secret may begin so many bytes before what is looked at.
        self.reach = max(map(len, self.forms), default=1) - 1

    @classmethod
    def of(cls, run: Run) -> Optional[Mask]:
        secrets = read_json(run.own / cls.FILE)
        return cls(list(secrets.values())) if secrets else None

    def strike(self, data: bytes) -> bytes:
        return self.pattern.sub(lambda found: b"*" * len(found.group()), data)

    def begun(self, data: bytes) -> int:
        """Return how many bytes at the end may begin a secret; one or two would mean nothing."""
        for length in range(min(self.reach, len(data)), 2, -1):
            end = data[-length:]
            if any(len(form) > length and form.startswith(end) for form in self.forms):
                return length
        return 0

    def strike_file(self, path: Path) -> None:
        with os.fdopen(open_file(path, os.O_RDWR), "r+b", buffering=0) as file:
            at, block = 0, b"-"
            while block:
                block = os.pread(file.fileno(), BLOCK + self.reach, at)
                struck = self.strike(block)
                if struck != block:
                    os.pwrite(file.fileno(), struck, at)
                at += BLOCK


@contextlib.contextmanager
def report_errors(what: str) -> Iterator[None]:
    """Report an error of files on stderr, and continue."""
    try:
        yield
    except OSError as err:
        report(f"{what}: {err}")


def wipe_secrets(run: Run) -> None:
    """Strike a run's secrets out of its log and events, then overwrite and remove their values."""
    mask, path = Mask.of(run), run.own / Mask.FILE
    if mask is None:
        return
    for written in (run.log, run.events):
        with report_errors("secrets not struck out"):
            mask.strike_file(written)
    with contextlib.suppress(OSError), path.open("r+b") as file:
        file.write(bytes(size_of(path)))
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(OSError):
        path.unlink()
