"""A pod in the words of ``~/.ssh/config``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from moola_remote.ssh.host_key_options import pin_options_for_any_configuration
from moola_remote.ssh.hostkeys import KnownHosts

if TYPE_CHECKING:
    from moola_remote.ssh.endpoint import Endpoint


def host_block(endpoint: Endpoint, known_hosts: Path) -> str:
    """Return the ``Host`` block of a pod, under its name: with its current port, key and pin.

    What the user's configuration says of the way there is written out, so that the block stands
    alone.
    """
    lines = [*_way(endpoint), *_keys(endpoint)]
    name = KnownHosts(known_hosts).name_of(endpoint)
    options = [
        word for word in pin_options_for_any_configuration(known_hosts, name) if word != "-o"
    ]
    lines += [option.replace("=", " ", 1) for option in options]
    return f"Host {endpoint.name}\n" + "".join(f"    {line}\n" for line in lines)


def _way(endpoint: Endpoint) -> Iterator[str]:
    config = endpoint.host_config
    yield f"HostName {config.hostname if config else endpoint.host}"
    yield f"Port {config.port if config else endpoint.port}"
    yield f"User {config.user if config else endpoint.user}"
    if config and config.jumps:
        yield f"ProxyJump {','.join(config.jumps)}"
    elif config and config.proxy_command:
        yield f"ProxyCommand {config.proxy_command}"


def _keys(endpoint: Endpoint) -> Iterator[str]:
    config = endpoint.host_config
    if endpoint.identity_file:
        yield f'IdentityFile "{endpoint.identity_file}"'
        yield "IdentitiesOnly yes"
    elif config:
        # Those of its defaults that are not there ssh would report with each call.
        there = (path for path in config.identity_files if _is_there(path))
        yield from (f'IdentityFile "{path}"' for path in there)
        yield from (f'CertificateFile "{path}"' for path in config.certificate_files)
        if config.identities_only:
            yield "IdentitiesOnly yes"


def _is_there(key: Path) -> bool:
    """Return whether a key is a file here, or an agent's, whose public half is."""
    return key.exists() or Path(f"{key}.pub").exists()
