"""OpenSSH masters that a test has left: ended with it, by their own command."""

from __future__ import annotations

import subprocess
from pathlib import Path

from moola_remote.ssh import mux
from moola_remote.ssh.keeping import Keeping


def sockets(folder: Path) -> list[Path]:
    """The sockets of the masters in a folder of `keeping`."""
    return [path for path in folder.glob("*") if path.is_socket()]


def masters(folder: Path) -> list[int]:
    """The processes of the masters that answer."""
    return [pid for path in sockets(folder) if (pid := mux.alive_pid(path))]


def end_masters(keep: Keeping | None) -> None:
    """End each, and its connection."""
    for path in sockets(keep.folder) if keep else ():
        subprocess.run(
            ["ssh", "-F", "none", "-S", str(path), "-O", "exit", "none"],
            capture_output=True,
            check=False,
        )
