"""Try servers, login shells, Pythons and limits for real, and write docs/compatibility.md.

    python -m tests.compatibility

Each row is one pod on this machine; "works" is commands, the agent's probe, and rsync both ways.
What this machine lacks (a shell, root for a user or a mount) is a row that says so.
"""

from __future__ import annotations

import contextlib
import dataclasses
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from moola_remote.agent_client.client import Agent, probe
from moola_remote.errors import MoolaError
from moola_remote.pods.preflight import check_pod
from moola_remote.ssh.connect import PENALTY_PAUSE_S, connect
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.transport import Transport
from tests.remote.ssh.test_shells import RC_FILES
from tests.support.dropbear import missing_for_dropbear, running_dropbear
from tests.support.penalties import running_penalised
from tests.support.pythons import find_python
from tests.support.quotas import missing_for_quota, quota_folder
from tests.support.servers import NEWER_SSHD, running_local_pod, running_openssh
from tests.support.small_disks import small_disk

DOC = Path(__file__).parents[1] / "docs" / "compatibility.md"
NOISE = {
    "silent": "",
    "prints on stdout": "echo Welcome\n",
    "prints on stderr": "sh -c 'echo Welcome >&2'\n",
}
VERSIONS = ("2.7", *(f"3.{minor}" for minor in range(6, 15)))
HEAD = """\
# Compatibility

Made by `python -m tests.compatibility` on {machine}; each row was tried for real on this machine.
"Works" is: commands with exit code, stdout and stderr apart, the agent's probe, rsync both ways.
Python 3.14 and {newer} are those of Debian's unstable suite with its own C library
(`tests/newer_python.sh`, `tests/newer_openssh.sh`); a quota is one of btrfs, which holds for root
too.

| pod | result |
|---|---|
"""


class NotHereError(Exception):
    """This machine can't try it."""


def attempt(endpoint: Endpoint, folder: Path) -> str:
    """Use a pod; the result in words."""
    started = time.monotonic()
    transport = connect(endpoint, known_hosts=folder / "pins")
    waited_s = time.monotonic() - started
    try:
        said = ", after a wait that is reported" if waited_s >= PENALTY_PAUSE_S else ""
        return _use(transport, endpoint, folder) + said
    except MoolaError as err:
        return f"refused: {_one_line(str(err), folder)}"
    finally:
        transport.close()


def _use(transport: Transport, endpoint: Endpoint, folder: Path) -> str:
    done = transport.run(["sh", "-c", "cat; echo warned >&2; exit 7"], stdin=b"given")
    if (done.returncode, done.stdout, done.stderr) != (7, b"given", b"warned\n"):
        return f"wrong: {done}"
    agent = Agent(transport, root=endpoint.root, python=endpoint.python)
    facts = probe(agent)
    check_pod(endpoint.name, facts)
    here, back = folder / "here", folder / "back"
    here.mkdir()
    back.mkdir()
    (here / "a b").write_text("content")
    there = PurePosixPath(endpoint.root) / "there"
    transport.push(here, there)
    transport.pull(there, back, files=["a b"], max_file=100, max_bytes=100)
    if (back / "a b").read_text() != "content":
        return "wrong: the file that came back differs"
    is_other = agent.python != endpoint.python
    if facts.noexec:
        return "works but for packages with compiled code, and says so"
    return f"works, on Python {facts.python} found by itself" if is_other else "works"


def _one_line(text: str, folder: Path) -> str:
    text = re.sub(r"127\.0\.0\.1:\d+", "HOST:PORT", text)
    return text.replace(str(folder), "FOLDER").replace("|", "\\|").replace("\n", " ")


@contextlib.contextmanager
def openssh(folder: Path, shell: str = "bash", rc: str = "", more: str = "") -> Iterator[Endpoint]:
    """An OpenSSH server with this login shell and rc file."""
    path = shutil.which(shell)
    if path is None:
        raise NotHereError(f"no {shell} on this machine")
    force = "" if shell == "bash" else f'ForceCommand exec {path} -c "$SSH_ORIGINAL_COMMAND"\n'
    with running_openssh(folder / "sshd", settings=force + more) as endpoint:
        file = folder / "sshd" / "home" / RC_FILES[shell]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(rc)
        yield endpoint


@contextlib.contextmanager
def newer_openssh(folder: Path, *, is_penalised: bool = False) -> Iterator[Endpoint]:
    """A newer OpenSSH server, at rest or while it refuses this address for failed logins."""
    if not NEWER_SSHD.exists():
        raise NotHereError("no newer OpenSSH on this machine")
    if is_penalised:
        server = running_penalised(folder / "sshd")
    else:
        server = running_openssh(folder / "sshd", program=NEWER_SSHD)
    with server as endpoint:
        yield endpoint


@contextlib.contextmanager
def dropbear(_: Path) -> Iterator[Endpoint]:
    """Dropbear."""
    if missing_for_dropbear():
        raise NotHereError(missing_for_dropbear())
    with running_dropbear() as endpoint:
        yield endpoint


@contextlib.contextmanager
def with_python(folder: Path, version: str) -> Iterator[Endpoint]:
    """OpenSSH on a pod whose python3 is of this version."""
    path = find_python(version)
    if path is None:
        raise NotHereError(f"no Python {version} on this machine")
    script = folder / "bin" / "python3"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {path} "$@"\n')
    script.chmod(0o755)
    with openssh(folder, rc=f"PATH={script.parent}:$PATH\n") as endpoint:
        yield dataclasses.replace(endpoint, python="python3")


@contextlib.contextmanager
def without_rsync(folder: Path) -> Iterator[Endpoint]:
    """OpenSSH on a pod whose PATH has all that is needed but rsync."""
    (folder / "bin").mkdir()
    for name in ("sh", "cat", "mkdir", "mv", "wc", "chmod"):
        (folder / "bin" / name).symlink_to(str(shutil.which(name)))
    with openssh(folder, rc=f"PATH={folder}/bin\n") as endpoint:
        yield endpoint


@contextlib.contextmanager
def mounted(folder: Path, place: str, options: str) -> Iterator[Endpoint]:
    """OpenSSH on a pod whose root or home is a file system of its own."""
    with openssh(folder) as endpoint, small_disk(folder / "sshd" / place, options) as is_there:
        if not is_there:
            raise NotHereError("a mount needs root and its capability")
        yield endpoint


@contextlib.contextmanager
def with_quota(folder: Path, limit: int) -> Iterator[Endpoint]:
    """OpenSSH on a pod whose root has a quota in bytes, on btrfs."""
    if missing_for_quota():
        raise NotHereError(f"it needs {missing_for_quota()}")
    (folder / "volume").mkdir()
    with openssh(folder) as endpoint, contextlib.ExitStack() as stack:
        try:
            root = stack.enter_context(quota_folder(folder / "volume", limit))
        except OSError as err:
            raise NotHereError(str(err)) from err
        yield dataclasses.replace(endpoint, root=str(root))


RC_LINES = {
    "with `exit 0`": "exit 0\n",
    "that reads stdin": "read -r answer\n",
    "with `set -x`": "set -x\n",
    "that empties PATH": "PATH=\n",
    "that prints 5 MB": "head -c 5000000 /dev/zero | tr '\\0' x\n",
    "that sleeps for 5 s": "sleep 5\n",
}


def newer_version() -> str:
    """The newer OpenSSH as it calls itself, without Debian's part."""
    if not NEWER_SSHD.exists():
        return "a newer OpenSSH"
    said = subprocess.run([NEWER_SSHD, "-V"], capture_output=True, text=True, check=False).stderr
    return said.split()[0].replace("_", " ")


Server = Callable[[Path], contextlib.AbstractContextManager[Endpoint]]


def rows() -> Iterator[tuple[str, Server]]:
    """Every pod that is tried."""
    yield "OpenSSH", openssh
    yield "Dropbear", dropbear
    yield "the embedded server", lambda folder: running_local_pod(folder / "local")
    yield newer_version(), newer_openssh
    yield (
        f"{newer_version()}, while a penalty (PerSourcePenalties) lasts",
        lambda folder: newer_openssh(folder, is_penalised=True),
    )
    yield "OpenSSH, MaxSessions 1", lambda folder: openssh(folder, more="MaxSessions 1")
    for shell in RC_FILES:
        for said, rc in NOISE.items():
            if shell != "dash" or not rc:  # dash reads no file for a command
                yield (
                    f"login shell {shell}, {said}",
                    lambda folder, shell=shell, rc=rc: openssh(folder, shell, rc),  # type: ignore[misc]
                )
    for said, rc in RC_LINES.items():
        yield f"an rc file {said}", lambda folder, rc=rc: openssh(folder, rc=rc)  # type: ignore[misc]
    for version in VERSIONS:
        yield (
            f"python3 is {version}",
            lambda folder, version=version: with_python(folder, version),  # type: ignore[misc]
        )
    yield "no rsync", without_rsync
    yield "read-only home", lambda folder: mounted(folder, "home", "ro")
    yield "root mounted noexec", lambda folder: mounted(folder, "root", "noexec")
    yield "a root of 8 MB", lambda folder: mounted(folder, "root", "size=8m")
    yield "a quota of 8 MB on the root", lambda folder: with_quota(folder, 8 << 20)
    yield "a quota of 64 MB on the root", lambda folder: with_quota(folder, 64 << 20)


def main() -> int:
    """Try each row and write the table."""
    lines = []
    for name, server in rows():
        folder = Path(tempfile.mkdtemp(prefix="compat-"))
        try:
            with server(folder) as endpoint:
                result = attempt(endpoint, folder)
        except NotHereError as err:
            result = f"not tried: {err}"
        except MoolaError as err:
            result = f"refused: {_one_line(str(err), folder)}"
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        sys.stderr.write(f"{name}: {result}\n")
        lines.append(f"| {name} | {result} |\n")
    ssh = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=False).stderr
    machine = f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {ssh.split(',')[0].strip()}"
    DOC.write_text(
        HEAD.format(machine=machine, newer=newer_version()) + "".join(lines), encoding="utf-8"
    )
    return 1 if any("wrong:" in line for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
