"""A pod in the words of ``~/.ssh/config``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from moola_remote.ssh.hostkeys import KnownHosts, ssh_options

if TYPE_CHECKING:
    from moola_remote.ssh.endpoint import Endpoint


def host_block(endpoint: Endpoint, known_hosts: Path) -> str:
    """The ``Host`` block of a pod, under its name: with its current port, its key and its pin."""
    options = [word for word in ssh_options(known_hosts, KnownHosts(known_hosts).name_of(endpoint)) if word != "-o"]
    lines = [
        f"HostName {endpoint.host}",
        f"Port {endpoint.port}",
        f"User {endpoint.user}",
        *(
            [f'IdentityFile "{endpoint.identity_file}"', "IdentitiesOnly yes"]
            if endpoint.identity_file
            else []
        ),
        *(option.replace("=", " ", 1) for option in options),
    ]
    return f"Host {endpoint.name}\n" + "".join(f"    {line}\n" for line in lines)
