"""The user's SSH configuration of one host: OpenSSH's own answer, else paramiko's reading of it.

OpenSSH is asked by ``ssh -G``, since paramiko's parser differs: a ``Match`` with a criterion that
it does not know applies to every host, ``ProxyJump none`` is a host, quotes and tokens are its own
(findings/). OpenSSH takes the account's home for ``~``; where HOME is another folder, the
configuration below HOME is read instead.
"""

from __future__ import annotations

import contextlib
import getpass
import logging
import os
import pwd
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from moola_remote.errors import ConfigError
from moola_remote.ssh.tokens import expand, tokens_of
from moola_remote.text.sanitize import safe

logger = logging.getLogger(__name__)
# `Match exec` may run a program of the user's.
ASK_TIMEOUT_S = 30.0
SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ecdsa_sk", "id_ed25519_sk")
# The criteria of `Match` that paramiko knows.
PARAMIKO_CRITERIA = frozenset(
    ("all", "host", "originalhost", "user", "localuser", "exec", "canonical", "final")
)
# Of StrictHostKeyChecking as `ssh -G` shows it; `no` takes a changed key too, our pins don't.
UNKNOWN_KEYS = {"accept-new": "accept", "no": "accept", "false": "accept", "off": "accept"}
UNKNOWN_KEYS |= {"yes": "refuse", "true": "refuse"}


@dataclass(frozen=True)
class HostConfig:
    """How the user's configuration reaches one host.

    Attributes:
        host: as the user names it: an alias, a name or an address.
        arguments: of ssh, which lead to this answer; without the host.
        jumps: ``[user@]host[:port]`` each, in the order in which they are passed.
        proxy_command: a shell command whose stdin and stdout lead to the host.
        passes_socket: the command sends a connected socket on its stdout instead, and ends.
        identity_agent: the agent's socket; None is no agent.
        known_hosts_command: its argv as one line, with tokens; None is no command.
        revoked_host_keys: public keys, or their list by ssh-keygen; a host with one is refused.
        unknown_keys: of a host key that nobody knows: ``ask``, ``accept`` or ``refuse``.
        tokens: what ssh's ``%`` tokens stand for, without ``%``.
        bind_address: of this machine, from which to connect.
        bind_interface: whose address that is, where `bind_address` names none.
        alive: seconds between two heartbeats and how many may be missed; None takes ours.
    """

    host: str
    arguments: tuple[str, ...]
    hostname: str
    port: int
    user: str
    jumps: tuple[str, ...] = ()
    proxy_command: str | None = None
    passes_socket: bool = False
    identity_files: tuple[Path, ...] = ()
    certificate_files: tuple[Path, ...] = ()
    identities_only: bool = False
    identity_agent: str | None = None
    host_key_alias: str | None = None
    known_hosts: tuple[Path, ...] = ()
    known_hosts_command: str | None = None
    revoked_host_keys: Path | None = None
    unknown_keys: str = "ask"
    tokens: Mapping[str, str] = field(default_factory=dict)
    address_family: str = "any"
    bind_address: str | None = None
    bind_interface: str | None = None
    alive: tuple[float, int] | None = None


def resolve(
    host: str,
    *,
    user: str | None = None,
    port: int | None = None,
    options: Sequence[str] = (),
    file: Sequence[str] | None = None,
) -> HostConfig:
    """Resolve the configuration of `host`.

    Args:
        host: an alias, a name or an address.
        user: overrides the configuration.
        port: overrides the configuration.
        options: ``Key=Value`` each, as of ssh's ``-o``; they override the configuration.
        file: ssh's ``-F`` with its value; None is what `config_argument` says.

    Raises:
        ConfigError: OpenSSH refuses the configuration, or a value can't be used.
    """
    arguments = (
        *(config_argument(None) if file is None else file),
        *(("-p", str(port)) if port is not None else ()),
        *(("-l", user) if user is not None else ()),
        *(word for option in options for word in ("-o", option)),
    )
    if shutil.which("ssh"):
        values = _ask_openssh(host, arguments)
    else:
        path = Path(arguments[1]) if arguments[:1] == ("-F",) else None
        values = _read_with_paramiko(host, options, path)
        values.update({"user": [user]} if user else {}, **({"port": [str(port)]} if port else {}))
    return _make(host, arguments, values)


def config_argument(config: Path | None) -> tuple[str, ...]:
    """Return ssh's ``-F`` where the configuration is not the one that ssh reads by itself."""
    if config is not None:
        return ("-F", str(config.expanduser()))
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    if Path.home() == home:
        return ()
    for path in (Path.home() / ".ssh" / "config", SYSTEM_CONFIG):
        if path.is_file():
            return ("-F", str(path))
    return ("-F", "none")


def _ask_openssh(host: str, arguments: Sequence[str]) -> dict[str, list[str]]:
    try:
        done = subprocess.run(
            # -N, as ForkAfterAuthentication needs it or a command; and ControlPath is expanded.
            ["ssh", "-G", "-N", "-o", "ControlPath=%C", *arguments, "--", host],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=ASK_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as err:
        raise ConfigError(f"ssh -G {host}: no answer, {err}", "run it by hand") from err
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        raise ConfigError(
            f"ssh -G {host}: OpenSSH refuses the configuration, {safe(lines[0], 300)}",
            "correct that line or option; try it with ssh -G",
        )
    return _by_keyword(done.stdout.decode("utf-8", "replace").splitlines())


def _by_keyword(lines: Iterable[str]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for line in lines:
        keyword, _, value = line.partition(" ")
        values.setdefault(keyword.lower(), []).append(value)
    return values


def _read_with_paramiko(
    host: str, options: Sequence[str], config: Path | None
) -> dict[str, list[str]]:
    import paramiko

    path = config.expanduser() if config else Path.home() / ".ssh" / "config"
    values: dict[str, list[str]] = {}
    if path.is_file():
        _warn_of_paramiko(path)
        try:
            # Its types have a string for each; some are lists.
            found: dict[str, Any] = dict(paramiko.SSHConfig.from_path(str(path)).lookup(host))
        except (paramiko.SSHException, OSError, ValueError) as err:
            raise ConfigError(f"{path}: can't be read, {safe(str(err), 300)}") from err
        for key, value in found.items():
            values[key] = value if isinstance(value, list) else [str(value)]
    for option in options:
        key, _, value = option.partition("=")
        values[key.strip().lower()] = [value.strip()]
    return values


@cache
def _warn_of_paramiko(path: Path) -> None:
    """Warn once of what is understood only by OpenSSH's client."""
    words = re.findall(r"(?im)^\s*match\s+(.*)$", path.read_text("utf-8", "replace"))
    unknown = {word.lower().lstrip("!") for line in words for word in line.split()[::2]}
    unknown -= PARAMIKO_CRITERIA
    named = f" (here: {', '.join(sorted(unknown))})" if unknown else ""
    logger.warning(
        "%s: no OpenSSH client on this machine, so paramiko reads it: system-wide settings and "
        "canonical names are left out, and a Match criterion that it does not know%s applies to "
        "every host; apt-get install openssh-client",
        path,
        named,
    )


def _make(host: str, arguments: tuple[str, ...], values: dict[str, list[str]]) -> HostConfig:
    def first(keyword: str, default: str = "") -> str:
        return values.get(keyword, [default])[0]

    def is_set(value: str) -> bool:
        return value.lower() not in ("", "none")

    port = first("port", "22")
    if not port.isdecimal():
        raise ConfigError(f"{host}: port {safe(port, 20)}: expected a number")
    user = first("user") or getpass.getuser()
    hostname = first("hostname", host).replace("%h", host)
    alias, digest = first("hostkeyalias"), first("controlpath")
    alias = alias if is_set(alias) else ""
    tokens = tokens_of(host, hostname, port, user, key_alias=alias, digest=digest)
    jump = first("proxyjump")
    jumps = [expand(one.strip(), tokens) for one in jump.split(",")] if is_set(jump) else []
    if jumps:
        tokens["j"] = re.sub(r":\d+$", "", jumps[-1].rpartition("@")[2]).strip("[]")

    def paths(keyword: str, default: Sequence[str] = ()) -> tuple[Path, ...]:
        found = values.get(keyword, default)
        return tuple(Path(expand(one.strip('"'), tokens)) for one in found if is_set(one))

    def command_of(keyword: str) -> str | None:
        return first(keyword) if is_set(first(keyword)) else None

    known = [
        file
        for key in ("user", "global")
        for file in _files_of(first(f"{key}knownhostsfile"), tokens)
    ]
    command, revoked = command_of("proxycommand"), first("revokedhostkeys")
    interval, count = first("serveraliveinterval", "0"), first("serveralivecountmax", "3")
    return HostConfig(
        host=host,
        arguments=arguments,
        hostname=hostname,
        port=int(port),
        user=user,
        jumps=tuple(jumps),
        proxy_command=expand(command, tokens) if command else None,
        passes_socket=first("proxyusefdpass").lower() == "yes",
        identity_files=paths("identityfile", [f"~/.ssh/{name}" for name in DEFAULT_KEYS]),
        certificate_files=paths("certificatefile"),
        identities_only=first("identitiesonly").lower() in ("yes", "true"),
        identity_agent=_agent(first("identityagent", "SSH_AUTH_SOCK"), tokens),
        host_key_alias=alias or None,
        known_hosts=tuple(_below_home(expand(one.strip('"'), tokens)) for one in known)
        or (Path.home() / ".ssh" / "known_hosts", Path("/etc/ssh/ssh_known_hosts")),
        known_hosts_command=command_of("knownhostscommand"),
        revoked_host_keys=Path(expand(revoked, tokens)) if is_set(revoked) else None,
        unknown_keys=UNKNOWN_KEYS.get(first("stricthostkeychecking").lower(), "ask"),
        tokens=tokens,
        address_family=first("addressfamily", "any").lower(),
        bind_address=first("bindaddress") or None,
        bind_interface=first("bindinterface") or None,
        alive=(float(interval), int(count)) if interval.isdecimal() and int(interval) else None,
    )


def _files_of(line: str, tokens: dict[str, str]) -> list[str]:
    """Return the files of a list: `ssh -G` shows names with blanks in them without quotes.

    As many words are one name as make the longest of a file that is there; else each is one.
    """
    if '"' in line:  # as paramiko leaves it
        with contextlib.suppress(ValueError):
            return shlex.split(line)
    words, files = line.split(" "), []
    while words:
        ends = range(len(words), 1, -1)
        names = (_below_home(expand(" ".join(words[:end]), tokens)) for end in ends)
        end = next((end for end, name in zip(ends, names, strict=True) if name.exists()), 1)
        files.append(" ".join(words[:end]))
        del words[:end]
    return [file for file in files if file]


def _below_home(path: str) -> Path:
    """Return the file below HOME where ssh names the same one below the account's home."""
    account = pwd.getpwuid(os.getuid()).pw_dir
    return Path(path.replace(f"{account}/.ssh/", f"{Path.home()}/.ssh/", 1))


def _agent(value: str, tokens: dict[str, str]) -> str | None:
    if value.lower() == "none":
        return None
    if value == "SSH_AUTH_SOCK":
        return os.environ.get("SSH_AUTH_SOCK")
    if value.startswith("$"):
        return os.environ.get(value.strip("${}"))
    return expand(value.strip('"'), tokens)
