"""Which keys a server is offered, and in which order.

A server ends a connection after a few wrong keys (OpenSSH: MaxAuthTries, 6), so the likely ones go
first, as OpenSSH's client has it: certificates, the agent's copies of named keys, the agent's
other keys, files, and at last files whose passphrase has to be asked for.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moola_remote.errors import ConfigError
from moola_remote.ssh.hostkeys import CERTIFICATE
from moola_remote.ssh.key_files import (
    certified_key,
    check_identity_file,
    fault_of,
    is_open_to_others,
    is_private,
    needs_no_agent,
    public_key,
    type_of,
)
from moola_remote.text.sanitize import safe

if TYPE_CHECKING:
    import paramiko

    from moola_remote.ssh.endpoint import Endpoint
logger = logging.getLogger(__name__)
# Asked for the passphrase of a key, once; None where the user gives none.
AskPassphrase = Callable[[str], "str | None"]
DEFAULT_KEYS = ("id_rsa", "id_ecdsa", "id_ed25519")
# What `ssh -G` names where nobody has named any.
USUAL_KEYS = (*DEFAULT_KEYS, "id_ecdsa_sk", "id_ed25519_sk", "id_xmss", "id_dsa")
# What paramiko raises where an agent says no.
_UNSIGNED = "key cannot be used for signing"
# What an agent may take to list its keys; to sign may take as long as its user.
AGENT_S = 10.0
# Keys that were opened with a passphrase, for as long as this process lives.
_opened: dict[Path, Any] = {}


@dataclass(frozen=True)
class KeySource:
    """Where the keys of one host are.

    Attributes:
        files: private keys, or public ones whose private half an agent holds.
        is_explicit: the pod's file names the key: a fault of the file is an error.
        only_files: the agent's other keys are not offered.
        agent: the socket of the agent; None is no agent.
    """

    files: tuple[Path, ...]
    certificates: tuple[Path, ...] = ()
    is_explicit: bool = False
    only_files: bool = False
    agent: str | None = None

    @classmethod
    def of(cls, endpoint: Endpoint) -> KeySource:
        """Return what the pod's file names, else what the user's configuration does.

        Raises:
            ConfigError: the file that is named is missing, readable by others, or no private key.
        """
        config, path = endpoint.host_config, endpoint.identity_file
        agent = config.identity_agent if config else os.environ.get("SSH_AUTH_SOCK")
        certificates = config.certificate_files if config else ()
        if path is not None:
            check_identity_file(endpoint.name, path)
            source = cls((path,), certificates, is_explicit=True, only_files=True, agent=agent)
        elif config is None:
            return cls(tuple(Path.home() / ".ssh" / name for name in DEFAULT_KEYS), agent=agent)
        else:
            only = config.identities_only
            source = cls(config.identity_files, certificates, only_files=only, agent=agent)
        return replace(source, agent=None) if source.is_enough() else source

    def is_enough(self) -> bool:
        """Return whether the files alone have all that may be offered: no agent is waited for."""
        there = [path for path in self.files if public_key(path)]
        return (
            self.only_files
            and bool(there)
            and not self.certificates
            and all(needs_no_agent(path) and not is_open_to_others(path) for path in there)
        )


@dataclass
class KeyRing:
    """The keys to offer to one host; it remembers what was offered over all connections.

    Attributes:
        offered: the public keys that a server was offered.
        locked: files whose passphrase was not given.
        hardware: files whose key is in a device, which only an agent can ask.
        unsigned: keys that the agent offers, and refuses to sign with.
        silent: sockets of agents that do not answer.
    """

    source: KeySource
    ask_passphrase: AskPassphrase | None = None
    offered: set[bytes] = field(default_factory=set)
    locked: list[Path] = field(default_factory=list)
    hardware: list[Path] = field(default_factory=list)
    unsigned: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)

    def candidates(self) -> Iterator[paramiko.PKey]:
        """Yield each key that was not offered yet, the likely ones first."""
        with _agent_keys(self.source.agent, self.silent) as in_agent:
            for key in self._all(in_agent):
                shown = _shown(key)
                if shown not in self.offered:
                    self.offered.add(shown)
                    yield key

    def note(self, key: paramiko.PKey, err: Exception) -> None:
        """Take note of why a key was of no use, where that was not the server."""
        if _UNSIGNED in str(err):
            self.unsigned.append(getattr(key, "comment", "") or key.get_name())

    def _all(self, in_agent: Sequence[paramiko.AgentKey]) -> Iterator[paramiko.PKey]:
        # As OpenSSH has it, the public half beside a name is enough where an agent has the other.
        halves = {path: public_key(path) for path in self.source.files}
        files = [path for path, half in halves.items() if half or path.is_file()]
        named = {half: path for path, half in halves.items() if half}
        held = {key.asbytes(): key for key in in_agent if not _is_certificate(key)}
        for path in self._certificates(files):
            yield from self._with_certificate(path, named, held)
        yield from (key for key in in_agent if key.asbytes() in named)
        if not self.source.only_files:
            yield from in_agent
        closed = [path for public, path in named.items() if public not in held]
        locked = []
        for path in closed:
            key = self._open(path)
            if key is not None:
                yield key
            elif path not in self.hardware and is_private(path) and not is_open_to_others(path):
                locked.append(path)
        for path in locked:
            key = self._ask(path)
            if key is not None:
                yield key

    def _certificates(self, files: Sequence[Path]) -> list[Path]:
        beside = [path.with_name(f"{path.name.removesuffix('.pub')}-cert.pub") for path in files]
        return [path for path in (*self.source.certificates, *beside) if path.is_file()]

    def _with_certificate(
        self, path: Path, named: dict[bytes, Path], held: dict[bytes, paramiko.AgentKey]
    ) -> Iterator[paramiko.PKey]:
        import paramiko

        public = certified_key(path)
        key: Any = None
        if public in held:  # a copy: the plain key is offered, too
            key = paramiko.AgentKey(held[public].agent, held[public].blob)
        elif public in named:
            opened = self._open(named[public]) or self._ask(named[public])
            key = copy.copy(opened)
        if key is not None:
            with contextlib.suppress(ValueError, paramiko.SSHException, OSError):
                key.load_certificate(str(path))
                yield key

    def _open(self, path: Path, passphrase: str | None = None) -> Any:
        """Return the key of a file, or None where it needs a passphrase or a device."""
        import paramiko

        if path in _opened:
            return _opened[path]
        if not is_private(path) or (not self.source.is_explicit and is_open_to_others(path)):
            return None
        if type_of(public_key(path)).startswith("sk-"):
            self.hardware.append(path)
            return None
        # paramiko's from_path takes bytes; its types say otherwise.
        secret: Any = passphrase.encode() if passphrase is not None else None
        try:
            key: Any = paramiko.PKey.from_path(path, secret)
        except (paramiko.PasswordRequiredException, TypeError):  # TypeError: cryptography's, of PEM
            return None
        except (paramiko.SSHException, ValueError, paramiko.pkey.UnknownKeyType) as err:
            if self.source.is_explicit and passphrase is None:
                raise ConfigError(f"{path}: not a private key that can be read, {err}") from err
            return None
        # from_path has put a certificate beside the key into it; that was offered on its own.
        key.public_blob = None
        return key

    def _ask(self, path: Path) -> Any:
        if self.ask_passphrase is not None and path not in self.locked:
            passphrase = self.ask_passphrase(str(path))
            key = self._open(path, passphrase) if passphrase else None
            if key is not None:
                _opened[path] = key
                return key
        if path not in self.locked:
            self.locked.append(path)
        return None


@contextlib.contextmanager
def _agent_keys(path: str | None, silent: list[str]) -> Iterator[list[paramiko.AgentKey]]:
    """Yield the keys of the agent behind the socket `path`; none where it does not answer.

    One that takes us in and then says nothing is added to `silent`.
    """
    import paramiko
    from paramiko.agent import AgentSSH

    agent = AgentSSH()
    with contextlib.ExitStack() as stack:
        keys: list[paramiko.AgentKey] = []
        if path:
            # paramiko's own Agent knows no socket but that of SSH_AUTH_SOCK.
            conn = stack.enter_context(socket.socket(socket.AF_UNIX))
            conn.settimeout(AGENT_S)
            try:
                conn.connect(path)
                agent._connect(conn)  # type: ignore[attr-defined]
                keys = list(agent.get_keys())
                conn.settimeout(None)
            except TimeoutError:
                logger.warning("%s does not answer within %.0f s", _named(path), AGENT_S)
                silent.append(path)
            except (OSError, paramiko.SSHException, EOFError):
                keys = []
        for key in keys:
            # Else paramiko offers the type of the certificate with the key that it certifies.
            if _is_certificate(key):
                blob: Any = paramiko.pkey.PublicBlob(key.name, key.blob)
                key.public_blob = blob
        yield keys


def _named(agent: str) -> str:
    return f"the agent at {safe(agent, 200)}"


def _is_certificate(key: paramiko.AgentKey) -> bool:
    return key.name.endswith(CERTIFICATE)


def _shown(key: Any) -> bytes:
    blob: bytes = key.public_blob.key_blob if key.public_blob else key.asbytes()
    return blob


def cure_for(ring: KeyRing) -> tuple[str, str]:
    """Return what stands in the way of other keys, and the command that removes it."""
    if ring.silent:
        why = f"{_named(ring.silent[0])} does not answer"
        return why, "start it again, or unset SSH_AUTH_SOCK"
    if ring.unsigned:
        why = f"the agent refuses to sign with {safe(ring.unsigned[0], 200)}"
        return why, "answer its question, or ssh-add the key again without -c"
    if ring.hardware:
        path = safe(str(ring.hardware[0]), 200)
        return f"{path} is a hardware key, which only an agent can ask", f"ssh-add {path}"
    if ring.locked:
        path = safe(str(ring.locked[0]), 200)
        return f"{path} has a passphrase, and no agent holds it", f"ssh-add {path}"
    return "", ""


def faults(ring: KeyRing) -> list[tuple[str, str]]:
    """Return what is wrong with the key files that were named, with the cure of each.

    A missing file under one of OpenSSH's own names is none: nobody may have named it.
    """
    usual = {Path.home() / ".ssh" / name for name in USUAL_KEYS}
    files = [path for path in ring.source.files if path not in usual or path.exists()]
    found = [(path, *fault_of(path)) for path in files if public_key(path) not in ring.offered]
    return [(f"{safe(str(path), 200)} {why}", cure) for path, why, cure in found if why]
