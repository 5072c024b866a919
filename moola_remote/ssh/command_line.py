"""The ssh command that a person pastes, or gets: ``ssh root@203.0.113.7 -p 36470 -i KEY``."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from moola_remote.errors import ConfigError
from moola_remote.ssh.hostkeys import KnownHosts, ssh_options

if TYPE_CHECKING:
    from moola_remote.config.settings import Project
    from moola_remote.ssh.endpoint import Endpoint
PROXY = "ssh.runpod.io"
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]{0,252}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Place:
    """What such a command says."""

    host: str
    user: str | None
    port: int = 22
    identity_file: str | None = None


def parse_ssh(words: str) -> Place:
    """The place that an ssh command leads to; ``USER@HOST:PORT`` is understood too.

    Raises:
        ConfigError: not such a command, or it leads to RunPod's proxy.
    """
    try:
        argv = [word for word in shlex.split(words) if word != "ssh"]
    except ValueError as err:
        raise _not_ssh(words) from err
    options: dict[str, str] = {}
    rest: list[str] = []
    while argv:
        word = argv.pop(0)
        if word[:2] in ("-p", "-i", "-l"):
            options[word[1]] = word[2:] or (argv.pop(0) if argv else "")
        else:
            rest.append(word)
    if len(rest) != 1 or rest[0].startswith("-"):
        raise _not_ssh(words)
    user, _, host = rest[0].rpartition("@")
    if host.count(":") == 1:
        host, _, options["p"] = host.partition(":")
    if host.lower() == PROXY:
        raise ConfigError(
            f"{PROXY}: RunPod's proxy gives a terminal alone, no commands, no rsync, no file goes "
            "through it",
            "expose TCP port 22 of the pod (console: Edit pod), and paste `SSH over exposed TCP`",
        )
    port = options.get("p", "22")
    if not _HOST.fullmatch(host) or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise _not_ssh(words)
    return Place(host, user or options.get("l") or None, int(port), options.get("i"))


def _not_ssh(words: str) -> ConfigError:
    return ConfigError(
        f"{words!r}: not understood, expected for example "
        "'ssh root@203.0.113.7 -p 36470 -i ~/.ssh/id_ed25519'"
    )


def pod_text(place: Place) -> str:
    """The pod's file."""
    import yaml

    table = {
        "provider": "ssh",
        "host": place.host,
        "port": place.port,
        **({"user": place.user} if place.user else {}),
        **({"identity_file": place.identity_file} if place.identity_file else {}),
        "root": "/workspace/moola",
    }
    return "# Written by `moola-remote pods add`.\n" + yaml.safe_dump(table, sort_keys=False)


def write_pod(project: Project, name: str, text: str) -> Path:
    """Write a new file of ``configs/pods``.

    Raises:
        ConfigError: the name is no file's, or is taken.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"pod {name!r}: expected letters, digits, '.', '-' and '_' in its name")
    path = project.pods_folder / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as err:
        raise ConfigError(f"{path}: is there already", "choose another with --name") from err
    return path


def ssh_argv(endpoint: Endpoint, known_hosts: Path) -> list[str]:
    """OpenSSH's client for a shell on the pod; it checks the pin that we have."""
    identity = endpoint.identity_file
    return [
        "ssh",
        *("-p", str(endpoint.port)),
        *(["-i", str(identity), "-o", "IdentitiesOnly=yes"] if identity else []),
        *ssh_options(known_hosts, KnownHosts(known_hosts).name_of(endpoint)),
        f"{endpoint.user}@{endpoint.host}",
    ]
