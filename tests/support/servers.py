"""Real SSH servers on loopback: OpenSSH's sshd and the embedded pod, each an Endpoint."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

import pytest

from moola_remote.providers.local.provider import LocalProvider
from moola_remote.providers.local.state import LocalPodFolder
from moola_remote.ssh.endpoint import Endpoint
from tests.support.lanes import HANGS_S

SSHD = Path("/usr/sbin/sshd")
# What `sh tests/newer_openssh.sh` has put there.
NEWER_SSHD = Path(sys.prefix) / "openssh" / "sshd"
# In the environment of whatever a server starts: its folder.
MARK = "TEST_SERVER"  # not MOOLA_..., which a job does not get
# The environment is the process's: of two threads that start a server at once one would give its
# mark to the other's, and kill that at its own end.
_environment_lock = threading.Lock()


@contextmanager
def running_local_pod(folder: Path) -> Iterator[Endpoint]:
    """The embedded pod with its state in `folder`; whatever it has started ends with it."""
    provider = LocalProvider("local", LocalPodFolder(folder))
    try:
        with _environment_lock, pytest.MonkeyPatch.context() as patch:
            patch.setenv(MARK, str(folder))
            endpoint = provider.up()
        yield endpoint
    finally:
        provider.stop()
        end_marked(folder)


@contextmanager
def running_openssh(  # noqa: PLR0913 - each caller names one or two
    folder: Path,
    *,
    public_key: str = "",
    env: Mapping[str, str] = MappingProxyType({}),
    address: str = "127.0.0.1",
    settings: str = "",
    certify: Sequence[str] = (),
    inside: Sequence[str] = (),
    program: Path = SSHD,
) -> Iterator[Endpoint]:
    """OpenSSH's sshd as the current user; its keys, its HOME and its settings in `folder`.

    A folder that is there keeps its keys: the same machine, started again.

    It lets in a key of its own, and `public_key`; `env` is what its commands see, `settings` are
    further lines of sshd_config, which come first and win; `certify` is an authority and options of
    ssh-keygen for a certificate of its host key; `inside` are words before its command line;
    `program` is sshd, with its parts beside it where that is no other's place.
    Whatever it has started ends with it.
    """
    if not folder.exists():
        folder.mkdir(mode=0o700)
        (folder / "home").mkdir()
        for name in ("host_key", "client_key"):
            _keygen(folder / name)
    if certify:
        command = ["ssh-keygen", "-q", "-I", "host", "-h", "-s", *certify]
        subprocess.run([*command, str(folder / "host_key.pub")], check=True)
    own = (folder / "client_key.pub").read_text(encoding="ascii")
    (folder / "authorized_keys").write_text(f"{own}{public_key}\n", encoding="ascii")
    if os.getuid() == 0:
        # Run as root, sshd insists on this folder, which only a booted system makes.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    user = pwd.getpwuid(os.getuid()).pw_name
    if program != SSHD:
        for part in ("session", "auth"):
            settings += f"Sshd{part.title()}Path {program.parent}/sshd-{part}\n"
    for _ in range(5):  # sshd can't choose its port, and another may take ours first
        port = _free_port()
        argv = [*inside, str(program), "-D", "-E", str(folder / "sshd.log")]
        config = _write_config(folder, port, env)
        text = config.read_text().replace("ListenAddress 127.0.0.1", f"ListenAddress {address}")
        config.write_text(f"{settings}\n{text}")
        server = subprocess.Popen([*argv, "-f", str(config)])
        try:
            if _answers(port, server, address):
                yield Endpoint(
                    name="openssh",
                    host=address,
                    port=port,
                    user=user,
                    identity_file=folder / "client_key",
                    host_key=_fingerprint(folder / "host_key.pub"),
                    known_key=" ".join((folder / "host_key.pub").read_text().split()[:2]),
                    root=str(folder / "root"),
                    python=sys.executable,
                    price_per_hour=None,
                )
                return
        finally:
            connections = _below(server.pid)
            server.terminate()
            server.wait(timeout=HANGS_S)
            for pid in connections:  # sshd leaves them open
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            end_marked(folder)
    raise RuntimeError(f"sshd did not start: {(folder / 'sshd.log').read_text()}")


def end_marked(folder: Path) -> None:
    """Kill what a server has started, to the last child; of what outlives its SSH server, too."""
    mark = f"{MARK}={folder}".encode()
    while marked := [pid for pid in _processes() if mark in _environment(pid)]:
        for pid in marked:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _below(pid: int) -> list[int]:
    """The children of a process, and theirs."""
    try:
        words = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [found for word in words for found in (int(word), *_below(int(word)))]


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def _environment(pid: int) -> list[bytes]:
    """What a process was started with; nothing once it is gone, or has ended and nobody waits."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


class SshMachine:
    """A rented machine for the double of RunPod: each start is a new server with a new host key.

    What its commands see of the pod's environment a real pod keeps in /proc/1/environ.
    """

    def __init__(self, folder: Path) -> None:
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self._folder = folder
        self._starts = 0
        self._running = ExitStack()

    def start(self, env: dict[str, str]) -> tuple[int, str]:
        """See `runpod_double.Machine`."""
        self._starts += 1
        reported = {name: value for name, value in env.items() if name != "PUBLIC_KEY"}
        server = running_openssh(
            self._folder / f"start-{self._starts}", public_key=env["PUBLIC_KEY"], env=reported
        )
        endpoint = self._running.enter_context(server)
        assert endpoint.host_key
        return endpoint.port, endpoint.host_key

    def stop(self) -> None:
        """See `runpod_double.Machine`; as with a container, every process of it goes."""
        self._running.close()


def ssh_options(endpoint: Endpoint, folder: Path) -> list[str]:
    """What leads OpenSSH's clients to `endpoint`: its host key checked, the user's files unread."""
    known_hosts = folder / f"known_hosts-{endpoint.port}"
    known_hosts.write_text(f"[{endpoint.host}]:{endpoint.port} {endpoint.known_key}\n")
    return [
        *("-F", "/dev/null"),
        *("-i", str(endpoint.identity_file)),
        *("-o", "IdentitiesOnly=yes"),
        *("-o", "IdentityAgent=none"),
        *("-o", "BatchMode=yes"),
        *("-o", "LogLevel=ERROR"),
        *("-o", "StrictHostKeyChecking=yes"),
        *("-o", "UpdateHostKeys=no"),
        *("-o", f"UserKnownHostsFile={known_hosts}"),
        *("-o", f"Port={endpoint.port}"),
        *("-o", f"User={endpoint.user}"),
    ]


def changed_signals(line: str) -> int:
    """The signals of a line of /proc/PID/status, as its bits.

    32 and 33 are the C library's own: `posix_spawn` leaves them ignored, whoever called it.
    """
    return int(line.split()[1], 16) & ~(0b11 << 31)


def _write_config(folder: Path, port: int, env: Mapping[str, str]) -> Path:
    path = folder / "sshd_config"
    seen = {"HOME": f"{folder}/home", "PATH": os.environ["PATH"], MARK: str(folder), **env}
    reported = " ".join(f'"{name}={value}"' for name, value in seen.items())
    path.write_text(f"""\
ListenAddress 127.0.0.1
Port {port}
PidFile none
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PrintMotd no
AcceptEnv LANG LC_*
SetEnv {reported}
Subsystem sftp internal-sftp -d {folder}/home
""")
    return path


def _keygen(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


def _fingerprint(path: Path) -> str:
    shown = subprocess.run(
        ["ssh-keygen", "-lf", str(path)], check=True, capture_output=True, text=True
    )
    return shown.stdout.split()[1]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int, server: subprocess.Popen[bytes], address: str = "127.0.0.1") -> bool:
    deadline = time.monotonic() + HANGS_S
    while server.poll() is None and time.monotonic() < deadline:
        with suppress(ConnectionRefusedError), socket.create_connection((address, port)) as probe:
            return probe.recv(4) == b"SSH-"
        time.sleep(0.01)
    return False
