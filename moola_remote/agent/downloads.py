"""What an installation fetches: how large it is and why, before it starts; how far it is, while."""

from __future__ import annotations

import re
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Callable, Dict, List, NamedTuple, Optional, Type

from moola_remote.agent.lazy import subprocess

GIGABYTE = 1_000_000_000
LARGE_BYTES = GIGABYTE
NAMED = 4
EVERY_S = 3.0
PLAN_TIMEOUT_S = 60.0
NETWORK = Path("/proc/net/dev")

Say = Callable[[str], None]

_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3}
_UNITS.update({"ki": 1024, "mi": 1024**2, "gi": 1024**3})
_DOWNLOAD = re.compile(r"\s*Downloading (\S+)(?: \((\d+(?:\.\d+)?) ?([kMG]?i?)B\))?", re.IGNORECASE)
_COLLECTING = re.compile(r"\s*Collecting (\S+)(?: \(from (.*)\))?$")
_ENTRY = re.compile(r'^name = "([^"]+)"\nversion = "([^"]+)"', re.MULTILINE)


class Download(NamedTuple):
    """A package that will be fetched; its size in bytes, 0 where it is not known."""

    name: str
    version: str
    size: int


def plan_by_uv(argv: List[str]) -> List[Download]:
    """Return what uv would fetch, by its own resolution; empty where it can't say that beforehand.

    Args:
        argv: ``uv pip compile`` with what is asked for.
    """
    words = [*argv, "--format", "pylock.toml", "--quiet", "--no-header"]
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=PLAN_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return parse_lock(done.stdout.decode("utf-8", "replace")) if done.returncode == 0 else []


def parse_lock(text: str) -> List[Download]:
    """Return the packages of a ``pylock.toml`` (PEP 751) with the size of each first wheel."""
    found = []
    for entry in text.split("[[packages]]")[1:]:
        named = _ENTRY.search(entry)
        wheels = entry.partition("wheels = [")[2] or entry
        size = re.search(r"\bsize = (\d+)", wheels)
        if named:
            found.append(Download(named[1], named[2], int(size[1]) if size else 0))
    return found


def amount(size: float) -> str:
    """Bytes in words: ``3.1 MB``."""
    return "%.1f GB" % (size / 1e9) if size >= GIGABYTE else "%.1f MB" % (size / 1e6)


def summary(downloads: List[Download]) -> str:
    """Return what is fetched, in one line: how many, how large, the largest by name."""
    total = sum(one.size for one in downloads)
    largest = sorted(downloads, key=lambda one: -one.size)[:NAMED]
    named = [
        "%s %s%s" % (one.name, one.version, (one.size and " " + amount(one.size)) or "")
        for one in largest
    ]
    more = len(downloads) - len(named)
    packages = "package" if len(downloads) == 1 else "packages"
    size = ", " + amount(total) if total else ""
    rest = ", and %d more" % more if more else ""
    return "fetching %d %s%s: %s%s" % (len(downloads), packages, size, ", ".join(named), rest)


def warning(size: int, what: str, reason: str) -> str:
    """Return the line before a large download."""
    return (
        "a large download of %s: %s; %s; an image or a `python` in the pod's file that has it "
        "spares that; without a GPU, stop here and install torch's far smaller CPU wheel into the "
        "pod's Python (docs/own-project.md)"
        % (amount(size) if size else "several GB", what, reason)
    )


class Progress:
    """Reads an installer's lines: says what is fetched, how large and why, and how far it is.

    Args:
        say: a line of progress.
        downloads: what is known beforehand to be fetched.
        reasons: who asks for a package, by its name.
        missing: what is large and not on the pod, such as torch.
    """

    def __init__(
        self,
        say: Say,
        downloads: List[Download],
        reasons: Dict[str, str],
        missing: List[str],
    ) -> None:
        self._say = say
        self._total = sum(one.size for one in downloads)
        self._is_known = bool(downloads)
        self._reasons = dict(reasons)
        self._missing = set(missing)
        self._begun = received()
        self._what = ""
        self._is_warned = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._report, daemon=True)
        if downloads:
            say(summary(downloads))
            large = max(downloads, key=lambda one: one.size)
            if self._total > LARGE_BYTES:
                self._warn(self._total, "%s %s and others" % large[:2], large.name)

    def __enter__(self) -> "Progress":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._over.set()
        self._thread.join()

    def feed(self, line: str) -> None:
        """Take a line of pip or uv; called before what it announces is fetched."""
        collecting = _COLLECTING.match(line)
        if collecting:
            name = canonical(re.split(r"[\s\[<>=!~;@(]", collecting[1])[0])
            self._reasons.setdefault(name, "asked for by " + short(collecting[2] or "the list"))
            if name in self._missing:
                self._warn(0, name + " with CUDA's libraries", name)
        download = _DOWNLOAD.match(line)
        if download and not download[1].endswith(".metadata") and download[2]:
            size = int(float(download[2]) * _UNITS[download[3].lower()])
            self._what = download[1].rpartition("/")[2]
            if not self._is_known:
                self._total += size
            if self._total > LARGE_BYTES:
                name = canonical(re.split(r"-\d", self._what)[0])
                self._warn(self._total, self._what, name)

    def _warn(self, size: int, what: str, name: str) -> None:
        if not self._is_warned:
            self._is_warned = True
            why = "%s is not in the pod's Python, and is %s" % (
                name,
                self._reasons.get(canonical(name), "needed by what the project asks for"),
            )
            self._say(warning(size, what, why))

    def _report(self) -> None:
        reported = 0
        while not self._over.wait(EVERY_S):
            now = received() - self._begun
            got = min(now, self._total) if self._total else now
            if got - reported > 1_000_000:
                reported = got
                of = " of %s" % amount(self._total) if self._total else ""
                self._say("fetched about %s%s %s" % (amount(got), of, self._what))


def received() -> int:
    """Bytes that came to this machine by any network; 0 where it doesn't say."""
    try:
        lines = NETWORK.read_text().splitlines()[2:]
        return sum(int(line.partition(":")[2].split()[0]) for line in lines)
    except (OSError, ValueError, IndexError):
        return 0


def canonical(name: str) -> str:
    """Return a package's name as indexes write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def short(reason: str) -> str:
    """Return who asks for a package, without the folders of the list."""
    return re.sub(r"-r \S*/([^/\s]+)", r"\1", reason)


def say(line: str) -> None:
    """Send a line of progress, which the laptop shows."""
    print(line, file=sys.stderr, flush=True)
