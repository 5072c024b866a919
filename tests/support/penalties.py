"""A newer OpenSSH server that refuses this address for failed logins (PerSourcePenalties)."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moola_remote.ssh.endpoint import Endpoint
from tests.support.servers import NEWER_SSHD, running_openssh

# Short; its defaults begin with 15 s.
SETTINGS = "PerSourcePenalties authfail:4s min:4s\n"


@contextmanager
def running_penalised(folder: Path) -> Iterator[Endpoint]:
    """Such a server, with keys and settings in `folder`; the penalty has just begun."""
    with running_openssh(folder, program=NEWER_SSHD, settings=SETTINGS) as endpoint:
        options = ("BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=no")
        argv = ["ssh", "-F", "none", *(word for one in options for word in ("-o", one))]
        argv += ["-o", "UserKnownHostsFile=/dev/null", "-p", str(endpoint.port)]
        argv += ["-i", str(folder / "host_key")]  # a key that it doesn't know
        argv += [f"{endpoint.user}@{endpoint.host}", "true"]
        for _ in range(5):
            subprocess.run(argv, capture_output=True, check=False)
            if "drop connection" in (folder / "sshd.log").read_text():
                yield endpoint
                return
        raise RuntimeError("the server imposes no penalty")
