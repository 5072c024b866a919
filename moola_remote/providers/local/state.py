"""The local pod's own folder: its files, its record, and whether its server is alive."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from moola_remote.errors import ConfigError
from moola_remote.files import atomic

# The server's behaviour; `up` replaces a running server that has another one.
VERSION = 1


@dataclass(frozen=True)
class PodRecord:
    """``pod.json``: the running server, as it wrote itself down."""

    pid: int
    identity: str
    port: int
    user: str
    host_key: str
    fingerprint: str
    version: int
    started_at: float
    schema: int = 1

    def is_alive(self) -> bool:
        """Return whether that very process runs; its number alone may be somebody else's by now."""
        return identity_of(self.pid) == self.identity


@dataclass(frozen=True)
class LocalPodFolder:
    """The files of the local pod, below ``<state>/local-pod``."""

    path: Path

    @property
    def root(self) -> Path:
        """``root``: the pod's folder in the sense of docs/protocol.md."""
        return self.path / "root"

    @property
    def record(self) -> Path:
        """``pod.json``."""
        return self.path / "pod.json"

    @property
    def lock(self) -> Path:
        """``server.lock``: held by the server for its life; never removed, so that one serves."""
        return self.path / "server.lock"

    @property
    def log(self) -> Path:
        """``server.log``."""
        return self.path / "server.log"

    @property
    def host_key(self) -> Path:
        """``host_key``: the server's private key."""
        return self.path / "host_key"

    @property
    def client_key(self) -> Path:
        """``client_key``: the only key that the server lets in."""
        return self.path / "client_key"

    def read_record(self) -> PodRecord | None:
        """Return the record, whether or not its server still runs; None when there is none.

        Raises:
            ConfigError: the file is not a record of ours.
        """
        try:
            return PodRecord(**json.loads(self.record.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as err:
            raise ConfigError(
                f"{self.record}: not a record of the local pod", f"rm '{self.record}'"
            ) from err

    def write_record(self, record: PodRecord) -> None:
        """Replace the record as one act."""
        atomic.write(self.record, json.dumps(asdict(record)) + "\n")

    def running(self) -> PodRecord | None:
        """Return the record of a server that is alive now, or None."""
        record = self.read_record()
        return record if record and record.is_alive() else None


def identity_of(pid: int) -> str | None:
    """Return an identity of process `pid` that survives reuse of its number; None if it ended."""
    if sys.platform != "linux":
        return _identity_by_ps(pid)
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # After the name, which may hold spaces and brackets: the state; 19 on, the start in ticks.
    fields = stat[stat.rindex(b")") + 2 :].decode("ascii").split()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return None if fields[0] in "ZX" else f"{boot}/{fields[19]}"


def _identity_by_ps(pid: int) -> str | None:
    answer = subprocess.run(
        ["ps", "-o", "state=,lstart=", "-p", str(pid)],
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=False,
    )
    state, _, started = answer.stdout.strip().partition(" ")
    return None if not started or state.startswith("Z") else started.strip()
