"""The Pythons of a pod: which ones there are, and the one that the agent runs on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from moola_remote.errors import NoPythonError
from moola_remote.text.sanitize import safe

if TYPE_CHECKING:
    from moola_remote.ssh.transport import Completed, Transport
OLDEST = (3, 8)
# The newest that is tried in `make test`; a newer one is taken where there is no other.
NEWEST = (3, 14)
DEFAULT = "python3"
TIMEOUT_S = 60.0
_MINORS = range(NEWEST[1], OLDEST[1] - 1, -1)
# Python 2 runs it, too.
_ASK = """
import sys
try:
    import importlib.util as u
    has = lambda name: u.find_spec(name) is not None
except ImportError:
    has = lambda name: False
words = sys.version_info[:3] + (has("torch"), has("venv") and has("ensurepip"), sys.executable)
print("%d.%d.%d %d %d %s" % words)
"""
_FIND = """
ask=$1; shift
for name in "$@" /opt/*/bin/python3 /opt/python*/bin/python3.* /usr/local/bin/python3.* \\
    "$HOME"/.pyenv/versions/*/bin/python3 /opt/pyenv/versions/*/bin/python3 \\
    "$HOME"/*conda*/bin/python3 "$HOME"/mambaforge/bin/python3 /opt/conda/envs/*/bin/python3 \\
    "$HOME"/.local/share/uv/python/*/bin/python3; do
  found=$(command -v "$name" 2>/dev/null) || continue
  case $found in *config) continue;; esac
  "$found" -Esc "$ask" </dev/null 2>/dev/null
done
exit 0
"""


@dataclass(frozen=True)
class Interpreter:
    """One Python of a pod."""

    path: str
    version: tuple[int, ...]
    has_torch: bool
    has_venv: bool

    @property
    def text(self) -> str:
        """Its version as ``3.11.2``."""
        return ".".join(map(str, self.version))

    @property
    def is_new_enough(self) -> bool:
        """Whether the agent runs on it."""
        return self.version >= OLDEST


def is_unusable(done: Completed) -> bool:
    """Return whether an answer says that this Python is missing or too old for the agent."""
    is_python_2 = done.returncode == 2 and b"nknown option" in done.stderr
    return done.returncode == 127 or is_python_2 or b'"error": "old_python"' in done.stdout


def find_interpreter(transport: Transport, asked: str) -> Interpreter:
    """Return the best Python of the pod: with torch, with venv, then the newest up to `NEWEST`.

    Args:
        transport: the connection.
        asked: the ``python`` of the pod's file, which was tried.

    Raises:
        NoPythonError: there is none that is new enough, or the pod's file names an old one;
            each that was found is named with its version.
    """
    names = [asked, DEFAULT, *(f"{DEFAULT}.{minor}" for minor in _MINORS[1:]), "python3.14"]
    done = transport.run(["sh", "-c", _FIND, "sh", _ASK, *names, "python"], timeout_s=TIMEOUT_S)
    found = parse(done.stdout)
    good = sorted(filter(lambda one: one.is_new_enough, found), key=_rank)
    if good and asked == DEFAULT:
        return good[-1]
    oldest, newest = ".".join(map(str, OLDEST)), ".".join(map(str, NEWEST))
    listed = ", ".join(f"{safe(one.path, 100)} is {one.text}" for one in found[:6]) or "none"
    cure = (
        f"write `python: {safe(good[-1].path, 200)}` ({good[-1].text}) into the pod's file"
        if good
        else f"install Python {oldest} to {newest} there, for example: apt-get install python3"
    )
    raise NoPythonError(
        f"{safe(asked, 100)}: not on the pod, or older than {oldest} (found: {listed})", cure
    )


def parse(stdout: bytes) -> list[Interpreter]:
    """Read the lines of the search; each interpreter once."""
    found: dict[str, Interpreter] = {}
    for line in stdout.decode("utf-8", "replace").splitlines():
        words = line.split(" ", 3)
        numbers = words[0].split(".")
        if len(words) == 4 and len(numbers) == 3 and all(part.isdecimal() for part in numbers):
            version = tuple(map(int, numbers))
            found.setdefault(
                words[3], Interpreter(words[3], version, words[1] == "1", words[2] == "1")
            )
    return list(found.values())


def _rank(one: Interpreter) -> tuple[bool, bool, bool, tuple[int, ...]]:
    return (one.has_torch, one.has_venv, one.version[:2] <= NEWEST, one.version)
