"""A pod that can lose its power, and disks that can be full: namespaces and tmpfs, as root."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

from moola_remote.providers.local.state import LocalPodFolder
from moola_remote.ssh.endpoint import Endpoint
from tests.support.pods import is_gone, wait_until
from tests.support.servers import running_openssh

ServerKind = Literal["embedded", "OpenSSH"]
# Process 1 of a machine: it reaps what is left to it, and does nothing else.
INIT = "echo up; while :; do sleep 1000 & wait; done"
# A line that is a process: the commands are forks of this one, which has no thread.
SERVE_LINE = """
import sys
from tests.support.lines import Line
line = Line(0)
print(line.port, flush=True)
for word in sys.stdin:
    line.target = int(word)
    line.drop()
line.cut()
"""
UNSHARE = ("unshare", "--pid", "--mount", "--fork", "--mount-proc", "--kill-child")


def can_be_had() -> bool:
    """Whether this user may make namespaces and mount file systems here."""
    try:
        probe = [*UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


class Disk:
    """A file system of its own.

    Args:
        path: where it is mounted; made here.
        megabytes: its size.
    """

    def __init__(self, path: Path, megabytes: int) -> None:
        self.path, self._size = path, megabytes << 20
        path.mkdir(parents=True)
        options = f"size={self._size},mode=700"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], check=True)

    def fill(self, room: int = 0) -> None:
        """Leave `room` bytes, rounded up to pages."""
        now = os.statvfs(self.path)
        self._resize((now.f_blocks - now.f_bfree) * now.f_frsize + room)

    def free(self) -> None:
        """Give back what `fill` took."""
        self._resize(self._size)

    def close(self) -> None:
        """Unmount it; its files are gone."""
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)

    def _resize(self, size: int) -> None:
        # One page at least: 0 means no limit.
        options = f"remount,size={max(size, 4096)}"
        # A writer may have been quicker than the look at what is used.
        subprocess.run(
            ["mount", "-o", options, str(self.path)], check=size == self._size, capture_output=True
        )


class Machine:
    """An SSH server in a PID namespace of its own, a line to it, and the disk of its root.

    Args:
        folder: for what belongs to it; made here.
        kind: of its server.

    Attributes:
        endpoint: the line's near end; it stays where it is.
    """

    def __init__(self, folder: Path, kind: ServerKind) -> None:
        folder.mkdir(parents=True)
        self.kind, self._folder = kind, folder
        self.disk = Disk(folder / "disk", 640)  # a deploy asks for half a gigabyte of room
        self.root = self.disk.path / "moola"
        self._power = ExitStack()
        self._line = subprocess.Popen(
            [sys.executable, "-c", SERVE_LINE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        assert self._line.stdout is not None
        port = int(self._line.stdout.readline())
        self.endpoint = replace(self._boot(), port=port, name="host")

    @property
    def enter(self) -> list[str]:
        """The words before a command that shall run on it."""
        return ["nsenter", "--target", str(self._init), "--pid", "--mount"]

    def reboot(self) -> None:
        """Cut the power, and boot again: no process of before lives, each file is as it was."""
        self._power.close()
        self._boot()

    def drop(self) -> None:
        """Reset every connection that there is now."""
        assert self._line.stdin is not None
        self._line.stdin.write(b"%d\n" % self._port)
        self._line.stdin.flush()

    def end_all(self) -> None:
        """``kill -9`` everything that runs there but its server."""
        while others := self._processes() - self._own:
            for pid in others:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            wait_until(lambda: all(map(is_gone, others)))

    def kill(self, pid: int) -> None:
        """``kill -9`` a process by its number there, and wait until it is gone."""
        with suppress(ProcessLookupError):
            os.kill(pid_here := self._pid_here(pid), signal.SIGKILL)
            wait_until(functools.partial(is_gone, pid_here))

    def parent(self, pid: int) -> int:
        """The number there of a process's parent."""
        status = Path(f"/proc/{self._init}/root/proc/{pid}/stat").read_text(encoding="ascii")
        return int(status.rpartition(")")[2].split()[1])

    def close(self) -> None:
        """End everything that runs on it; its files are gone."""
        self._power.close()
        self.disk.close()
        self._line.communicate()

    def _boot(self) -> Endpoint:
        outer = subprocess.Popen([*UNSHARE, "sh", "-c", INIT], stdout=subprocess.PIPE)
        self._power.callback(self._cut, outer)
        assert outer.stdout is not None
        assert outer.stdout.readline() == b"up\n"
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
        self._init = int(children.read_text(encoding="ascii"))
        endpoint = replace(self._serve(), root=str(self.root))
        self._own = self._processes()
        self._port = endpoint.port
        self.drop()
        return endpoint

    @staticmethod
    def _cut(outer: subprocess.Popen[bytes]) -> None:
        outer.kill()
        outer.wait()
        assert outer.stdout is not None
        outer.stdout.read()  # ends with the last that holds it, which is process 1
        outer.stdout.close()

    def _serve(self) -> Endpoint:
        if self.kind == "OpenSSH":
            return self._power.enter_context(
                running_openssh(self._folder / "sshd", inside=self.enter)
            )
        folder = LocalPodFolder(self._folder / "pod")
        program = "moola_remote.providers.local.sshd"
        start = [*self.enter, sys.executable, "-m", program, str(folder.path)]
        done = subprocess.run(start, capture_output=True, text=True, check=False)
        record = folder.read_record()
        assert record is not None, done.stderr
        return Endpoint(
            name="local",
            host="127.0.0.1",
            port=record.port,
            user=record.user,
            identity_file=folder.client_key,
            host_key=record.fingerprint,
            known_key=record.host_key,
            root=str(self.root),
            python=sys.executable,
            price_per_hour=None,
        )

    def _pid_here(self, pid: int) -> int:
        """This machine's number of a process that has the number `pid` there."""
        for one in self._processes():
            with suppress(OSError):
                status = Path(f"/proc/{one}/status").read_text(encoding="utf-8", errors="replace")
                (line,) = [line for line in status.splitlines() if line.startswith("NSpid:")]
                if int(line.split()[-1]) == pid:
                    return one
        raise ProcessLookupError(pid)

    def _processes(self) -> set[int]:
        """This machine's numbers of all processes there."""
        there = Path(f"/proc/{self._init}/ns/pid").readlink()
        found = set()
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (path / "ns" / "pid").readlink() == there:
                    found.add(int(path.name))
        return found
