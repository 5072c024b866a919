"""Real clients, pointed at the embedded pod and at OpenSSH's sshd in turn."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from moola_remote.ssh.endpoint import Endpoint
from tests.support.lanes import HANGS_S
from tests.support.servers import ssh_options


@dataclass(frozen=True)
class Client:
    """OpenSSH's and rsync's programs, pointed at one server."""

    endpoint: Endpoint
    options: list[str]

    def ssh(
        self, *argv: str, stdin: bytes = b"", options: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[bytes]:
        """A command through ``ssh``; without `argv` the login shell, which reads `stdin`."""
        return self.run("ssh", *self.options, *options, self.endpoint.host, *argv, stdin=stdin)

    def rsync(self, *argv: str) -> subprocess.CompletedProcess[bytes]:
        """``rsync`` over ``ssh``."""
        return self.run("rsync", "-e", " ".join(["ssh", *self.options]), *argv)

    def at(self, path: Path | str) -> str:
        """`path` on the server as scp, sftp and rsync write it."""
        return f"{self.endpoint.host}:{path}"

    @staticmethod
    def run(*argv: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """A program to its end."""
        return subprocess.run(argv, input=stdin, capture_output=True, timeout=HANGS_S, check=False)


@pytest.fixture(scope="session", params=["local_pod", "openssh_server"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """A client of each server in turn."""
    if shutil.which("ssh") is None:
        pytest.skip("no OpenSSH client here: apt install openssh-client")
    endpoint: Endpoint = request.getfixturevalue(request.param)
    return Client(endpoint, ssh_options(endpoint, tmp_path_factory.mktemp("known")))
