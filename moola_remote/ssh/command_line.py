"""The ssh command that a user pastes, or gets: ``ssh root@203.0.113.7 -p 36470 -i KEY``."""

from __future__ import annotations

import getopt
import os
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from moola_remote.errors import ConfigError
from moola_remote.files import atomic
from moola_remote.files.disk import unwritable
from moola_remote.ssh.host_key_options import pin_options_for_any_configuration
from moola_remote.ssh.hostkeys import KnownHosts
from moola_remote.ssh.pasted import split_pasted

if TYPE_CHECKING:
    from moola_remote.config.settings import Project
    from moola_remote.ssh.endpoint import Endpoint
PROXY = "ssh.runpod.io"
_HOST = re.compile(r"[A-Za-z0-9_:][A-Za-z0-9_.:%-]{0,252}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_URL = re.compile(
    r"ssh://(?:(?P<user>[^@/]+)@)?(?P<host>\[[^\]]+\]|[^:/\[\]]+)(?::(?P<port>\d+))?/?"
)
_BRACKETS = re.compile(r"\[(?P<host>[^\]]+)\](?::(?P<port>\d+))?")
# ssh(1): with ":" after each option that has a value.
_OPTIONS = "46AaB:b:Cc:D:E:e:F:fGgI:i:J:KkL:l:Mm:NnO:o:P:p:Q:qR:S:sTtVvW:w:XxYy"
# What moola-remote has no use for; left out and reported.
_LEFT_OUT = {
    "A": "agent forwarding (the pod gets no key of yours)",
    "D": "a SOCKS proxy",
    "L": "port forwarding",
    "R": "port forwarding",
    "w": "a tunnel device",
    "X": "X11",
    "Y": "X11",
    "M": "connection sharing",
    "S": "connection sharing",
}
# Of a terminal, of logs, or of a speed that is ours to choose: nothing is lost without them.
_NO_MATTER = "aCceEfgGKkmnNqQstTvxy"
# Keys of `-o` that say how host keys are checked: that is ours.
_HOST_KEYS = ("stricthostkeychecking", "userknownhostsfile", "checkhostip", "updatehostkeys")
_KEYS = {"J": "ProxyJump", "b": "BindAddress", "B": "BindInterface"}
# Keys of `-o` that go into the pod's file; a network never needs another.
_KEEPS = frozenset(
    (
        *("hostname", "port", "user", "addressfamily", "proxyjump", "proxycommand"),
        *("identityfile", "identitiesonly", "identityagent", "certificatefile"),
        *(
            "bindaddress",
            "bindinterface",
            "hostkeyalias",
            "knownhostscommand",
            "serveraliveinterval",
            "serveralivecountmax",
        ),
    )
)


@dataclass(frozen=True)
class SshTarget:
    """What such a command says.

    Attributes:
        host: an alias, a name or an address.
        options: ``Key=Value`` each, as of ssh's ``-o``.
        left_out: what of the command has no place in a pod's file, in words.
    """

    host: str
    user: str | None = None
    port: int | None = None
    identity_file: str | None = None
    ssh_config: str | None = None
    options: tuple[str, ...] = ()
    left_out: tuple[str, ...] = field(default=(), compare=False)


def parse_ssh(words: str) -> SshTarget:
    """Read an ssh command line, ``ssh://USER@HOST:PORT``, ``USER@HOST:PORT`` or an alias.

    Raises:
        ConfigError: not such a command, an option that can't be honoured, or it leads to RunPod's
            proxy.
    """
    try:
        argv = split_pasted(words)
        is_command = argv[:1] == ["ssh"]
        # As ssh reads it: options before and after the host, then a command for the pod.
        given, rest = getopt.getopt(argv[is_command:], _OPTIONS)
        more, command = getopt.getopt(rest[1:], _OPTIONS)
    except (ValueError, getopt.GetoptError) as err:
        reason = f" ({err})" if isinstance(err, getopt.GetoptError) else ""
        raise _not_ssh(words, reason) from err
    if not rest or (command and not is_command):
        raise _not_ssh(words)
    fields: dict[str, str | None] = {"p": None, "l": None, "F": None}
    keys: list[str] = []
    options: list[str] = []
    left_out: list[str] = []
    for flag, value in (*given, *more):
        letter = flag[1]
        if letter in fields:
            fields[letter] = fields[letter] or os.path.expandvars(value)
        elif letter == "i":
            keys.append(os.path.expandvars(value))
        else:
            _take(letter, value, options, left_out)
    if command:
        left_out.append(f"{shlex.join(command)}: a command; moola-remote starts its own")
    user, host, port = _split(rest[0])
    if host.lower() == PROXY:
        raise ConfigError(
            f"{PROXY}: RunPod's proxy gives only a terminal: no commands, no rsync, no "
            "file transfer",
            "expose TCP port 22 of the pod (console: Edit pod), and paste `SSH over exposed TCP`",
        )
    port = fields["p"] or port
    if not _HOST.fullmatch(host) or (
        port is not None and not (port.isascii() and port.isdecimal() and 0 < int(port) < 1 << 16)
    ):
        raise _not_ssh(words)
    number = int(port) if port else None
    user = user or fields["l"]
    if len(keys) > 1:  # the pod's file has a place for one
        options += [f"IdentityFile={key}" for key in keys]
    key = keys[0] if len(keys) == 1 else None
    return SshTarget(host, user, number, key, fields["F"], tuple(options), tuple(left_out))


def _split(word: str) -> tuple[str | None, str, str | None]:
    """User, host and port of ``ssh://...``, ``[host]:port``, ``host:port`` or a host."""
    url = _URL.fullmatch(word)
    if url:
        return url["user"], url["host"].strip("[]"), url["port"]
    user, _, host = word.rpartition("@")
    brackets = _BRACKETS.fullmatch(host)
    if brackets:
        return user or None, brackets["host"], brackets["port"]
    if host.count(":") == 1:
        host, _, port = host.partition(":")
        return user or None, host, port
    return user or None, host, None


def _take(letter: str, value: str, options: list[str], left_out: list[str]) -> None:
    """Add what an option says to `options`, or to `left_out`."""
    if letter in "46":
        options.append(f"AddressFamily={'inet' if letter == '4' else 'inet6'}")
    elif letter in _KEYS:
        options.append(f"{_KEYS[letter]}={value}")
    elif letter == "o":
        key, _, said = value.replace("=", " ", 1).strip().partition(" ")
        if key.lower() in _KEEPS:
            options.append(f"{key}={said.strip()}")
        else:
            is_ours = key.lower() in _HOST_KEYS
            why = "host keys are checked against our pins" if is_ours else "not honoured here"
            left_out.append(f"-o {key} ({why})")
    elif letter in _LEFT_OUT:
        left_out.append(f"-{letter}{f' {value}' if value else ''}: {_LEFT_OUT[letter]}")
    elif letter not in _NO_MATTER:
        raise ConfigError(
            f"ssh option -{letter}{f' {value}' if value else ''}: can't be honoured",
            "leave it out; what it does may be possible in ~/.ssh/config",
        )


def _not_ssh(words: str, reason: str = "") -> ConfigError:
    return ConfigError(
        f"{words!r}: not understood{reason}, expected for example "
        "'ssh root@203.0.113.7 -p 36470 -i ~/.ssh/id_ed25519'"
    )


def pod_text(target: SshTarget) -> str:
    """Return the pod's file; what the command leaves open is left to the user's configuration."""
    import yaml

    given = {
        "port": target.port,
        "user": target.user,
        "identity_file": target.identity_file,
        "ssh_config": target.ssh_config,
        "ssh_options": list(target.options),
    }
    table = {
        "provider": "ssh",
        "host": target.host,
        **{key: value for key, value in given.items() if value},
        "root": "/workspace/moola",
    }
    return "# Written by `moola-remote pods add`.\n" + yaml.safe_dump(table, sort_keys=False)


def pod_name(host: str) -> str:
    """Return the name of a pod at `host` where the user gives none."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", host).strip("-") or "pod"


def write_pod(project: Project, name: str, text: str) -> Path:
    """Write a new file of ``configs/pods``.

    Raises:
        ConfigError: the name is no file's, or is taken.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"pod {name!r}: expected letters, digits, '.', '-' and '_' in its name")
    path = project.pods_folder / f"{name}.yaml"
    if path.exists():
        raise ConfigError(f"{path}: already exists", "choose another with --name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(path, text, mode=0o666)
    except OSError as err:
        raise unwritable(path, err, ConfigError) from err
    return path


def ssh_argv(endpoint: Endpoint, known_hosts: Path) -> list[str]:
    """OpenSSH's client for a shell on the pod; it checks the pin that we have."""
    identity, config = endpoint.identity_file, endpoint.host_config
    name = KnownHosts(known_hosts).name_of(endpoint)
    return [
        "ssh",
        *pin_options_for_any_configuration(known_hosts, name),  # the first value counts
        *(config.arguments if config else ("-p", str(endpoint.port))),
        *(["-i", str(identity), "-o", "IdentitiesOnly=yes"] if identity else []),
        *(("--", config.host) if config else (f"{endpoint.user}@{endpoint.host}",)),
    ]
