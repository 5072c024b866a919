"""Dropbear on loopback, with a user of its own: it takes keys from the account's home alone."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moola_remote.ssh.endpoint import Endpoint
from tests.support.lanes import HANGS_S


def missing_for_dropbear() -> str:
    """Return what this machine lacks for it, or nothing."""
    if shutil.which("dropbear") is None:
        return "no Dropbear here: apt install dropbear-bin"
    if os.getuid() != 0 or shutil.which("useradd") is None:
        return "Dropbear needs a user of its own, which root alone can make"
    if not Path("/usr/bin/python3").exists():
        return "no /usr/bin/python3 for that user"
    return ""


@contextmanager
def running_dropbear(shell: str = "/bin/sh") -> Iterator[Endpoint]:
    """Serve a new user; the user and all that is its own go with the block."""
    folder = Path(tempfile.mkdtemp(prefix="dropbear-"))
    folder.chmod(0o755)
    home, user, key = folder / "home", f"db{os.getpid()}", folder / "key"
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        _run("useradd", "-M", "-d", str(home), "-s", shell, "-p", "*", user)
        stack.callback(_run, "userdel", user)
        stack.callback(_end_processes_of, user)
        (home / ".ssh").mkdir(parents=True)
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
        shutil.copy(f"{key}.pub", home / ".ssh" / "authorized_keys")
        _run("chown", "-R", user, str(home))
        _run("chmod", "-R", "go-w", str(home))
        _run("dropbearkey", "-t", "ed25519", "-f", str(folder / "host"))
        shown = _run("dropbearkey", "-y", "-f", str(folder / "host"))
        (known,) = (line for line in shown.splitlines() if line.startswith("ssh-ed25519 "))
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port: int = probe.getsockname()[1]
        argv = ["dropbear", "-F", "-E", "-p", f"127.0.0.1:{port}", "-r", str(folder / "host")]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen([*argv, "-P", str(folder / "pid")], stderr=log)
        stack.callback(server.wait)
        stack.callback(server.terminate)
        _wait_for(port)
        yield Endpoint(
            name="dropbear",
            host="127.0.0.1",
            port=port,
            user=user,
            identity_file=key,
            host_key=None,
            known_key=" ".join(known.split()[:2]),
            root=str(home / "root"),
            python="/usr/bin/python3",
            price_per_hour=None,
        )


def _run(*argv: str) -> str:
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    return done.stdout


def _end_processes_of(user: str) -> None:
    shown = subprocess.run(["ps", "-o", "pid=", "-u", user], capture_output=True, check=False)
    for pid in shown.stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    time.sleep(0.3)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + HANGS_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as probe:
            if probe.recv(4) == b"SSH-":
                return
        time.sleep(0.02)
    raise RuntimeError("dropbear did not start")
