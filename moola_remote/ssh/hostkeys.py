"""Host keys, pinned by the pod's name rather than its address, and by the project's folder.

The file is the tool's own, in OpenSSH's format: paramiko and OpenSSH's ssh check the same pins.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from moola_remote.errors import ConfigError, HostKeyError
from moola_remote.files import atomic
from moola_remote.files.disk import is_full, unwritable

if TYPE_CHECKING:
    import paramiko

    from moola_remote.ssh.endpoint import Endpoint
logger = logging.getLogger(__name__)
# How the type of a certificate ends.
CERTIFICATE = "-cert-v01@openssh.com"
# Whether the fingerprint, never seen before, is the right one.
Ask = Callable[[str], bool]
# Whether the user's own known_hosts vouch for a key, or for the certificate that came with it; None
# where they have another key of its type for the host.
Vouches = Callable[[bytes, "bytes | None"], "bool | None"]
SSH_PORT = 22
_LOCK = ".lock"


def alias(pod: str) -> str:
    """Return the name that a pod's key is kept under.

    Raises:
        ConfigError: a name that known_hosts would read as a pattern or as several names.
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]+", pod):
        raise ConfigError(f"pod {pod!r}: expected letters, digits, '.', '-' and '_' in its name")
    return f"moola-{pod}"


def fingerprint(key: bytes) -> str:
    """``SHA256:...`` of a public key in SSH's wire form, as ``ssh-keygen -l`` prints it."""
    digest = hashlib.sha256(key).digest()
    return "SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("=")


def key_type(key: bytes) -> str:
    """``ssh-ed25519`` and the like: the first string of a public key."""
    length = int.from_bytes(key[:4], "big")
    return key[4 : 4 + length].decode("ascii")


class KnownHosts:
    """The file of pins: one key a pod.

    Args:
        path: the file; its folder is made with the first pin.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._projects = path.with_name(f"{path.name}.projects")

    def get(self, pod: str) -> bytes | None:
        """Return the pinned public key of a pod, or None.

        Raises:
            ConfigError: a line of the file is not a pin.
        """
        return self._read().get(alias(pod))

    def pin(self, pod: str, key: bytes) -> None:
        """Keep this key as the pod's; it replaces an older one."""
        with self._lock():
            self._write({**self._read(), alias(pod): key})

    def forget(self, pod: str) -> None:
        """Drop the pod's key, as when the pod is gone for good."""
        with self._lock():
            self._write({name: key for name, key in self._read().items() if name != alias(pod)})

    def guard(
        self,
        client: paramiko.SSHClient,
        endpoint: Endpoint,
        ask: Ask | None,
        vouches: Vouches | None = None,
    ) -> None:
        """Make `client`, which knows no keys of its own, ask `check` about the pod's."""
        import paramiko

        check = self.check

        class Pinned(paramiko.MissingHostKeyPolicy):
            def missing_host_key(
                self, _client: paramiko.SSHClient, _hostname: str, key: paramiko.PKey
            ) -> None:
                blob = key.public_blob
                certificate = blob.key_blob if blob else None
                is_vouched = vouches(key.asbytes(), certificate) if vouches else False
                check(endpoint, key.asbytes(), ask, is_vouched=is_vouched)

        client.set_missing_host_key_policy(Pinned())

    def check(
        self, endpoint: Endpoint, key: bytes, ask: Ask | None, *, is_vouched: bool | None = False
    ) -> None:
        """Refuse this key unless it is the pod's; pin it where that is new.

        A fingerprint from the pod's file or its provider decides, before an older pin.

        Args:
            endpoint: the pod.
            key: the public key that it shows, in SSH's wire form.
            ask: asked at first contact; None if not interactive.
            is_vouched: the user's own known_hosts know it: no question at first contact; None:
                they have another of its type, which no answer outweighs.

        Raises:
            HostKeyError: it is not the expected or the pinned one, or was not confirmed.
        """
        name = self.name_of(endpoint)
        pinned = self.get(name)
        expected = _expected(endpoint)
        if expected is not None:
            if fingerprint(key) != expected:
                raise _wrong_key(endpoint, expected, key)
        elif pinned is None:
            if is_vouched is None:
                raise _not_as_known(endpoint, key)
            if not is_vouched:
                _vouch(endpoint, key, ask)
        elif pinned != key:
            raise self._changed_key(endpoint, name, pinned, key)
        if pinned != key:
            self.pin(name, key)
            logger.info("pod %s: pinned host key %s", endpoint.name, fingerprint(key))
        if self._is_unowned(endpoint, name):
            self._own(endpoint)

    def name_of(self, endpoint: Endpoint) -> str:
        """Return the name that the pod's key is kept under: its own, unless another project's."""
        if not endpoint.scope:
            return endpoint.name
        owners = (None, endpoint.scope)  # None: pinned by an older version
        is_free = self.get(endpoint.name) is None or self._owners().get(endpoint.name) in owners
        return endpoint.name if is_free and self.get(endpoint.pin) is None else endpoint.pin

    def settled(self, endpoint: Endpoint) -> bytes | None:
        """Return the pin where `check` of it would neither ask nor write; else None."""
        name = self.name_of(endpoint)
        pinned = self.get(name)
        is_right = pinned is not None and _expected(endpoint) in (None, fingerprint(pinned))
        return pinned if is_right and not self._is_unowned(endpoint, name) else None

    def known_type_first(
        self, endpoint: Endpoint, types: Iterable[str], vouched: Sequence[str] = ()
    ) -> tuple[str, ...]:
        """Signature types in the order to ask for: of several keys the pod shall show the known.

        Args:
            endpoint: the pod.
            types: those that the client has.
            vouched: types of keys that the user's known_hosts have, for want of a pin;
                ``-cert-v01@openssh.com`` asks for certificates.
        """
        known = _known_key(endpoint) or self.get(self.name_of(endpoint))
        wanted = [key_type(known)] if known else list(vouched)
        names = list(types)
        if CERTIFICATE in wanted:
            names = [*(f"{name}{CERTIFICATE}" for name in names), *names]
        family = {*wanted, *(("rsa-sha2-512", "rsa-sha2-256") if "ssh-rsa" in wanted else ())}
        return tuple(
            sorted(names, key=lambda name: not (name in family or name.endswith(CERTIFICATE)))
        )

    def _owners(self) -> dict[str, str]:
        """Return the project, as a digest, that a pin under a pod's name alone is of."""
        try:
            owners = json.loads(self._projects.read_bytes())
        except (OSError, ValueError):
            return {}
        return owners if isinstance(owners, dict) else {}

    def _is_unowned(self, endpoint: Endpoint, name: str) -> bool:
        is_plain = bool(endpoint.scope) and name == endpoint.name
        return is_plain and self._owners().get(name) != endpoint.scope

    def _own(self, endpoint: Endpoint) -> None:
        """Note whose the pin under the pod's name is."""
        with self._lock():
            owners = {**self._owners(), endpoint.name: endpoint.scope}
            atomic.write(self._projects, json.dumps(owners))

    def _changed_key(
        self, endpoint: Endpoint, name: str, pinned: bytes, key: bytes
    ) -> HostKeyError:
        expected, shown = fingerprint(pinned), fingerprint(key)
        return HostKeyError(
            f"pod {endpoint.name}: its host key has changed, expected {expected}, got {shown}",
            "was the pod recreated? Compare with its log, then "
            f"`ssh-keygen -R {alias(name)} -f '{self.path}'`; "
            "otherwise someone is in between: send nothing",
        )

    def _read(self) -> dict[str, bytes]:
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return {}
        except UnicodeDecodeError as err:
            raise ConfigError(f"{self.path}: not a file of host keys", "remove it") from err
        except OSError as err:
            why = f"{self.path}: can't be read, {err.strerror}"
            raise ConfigError(why, "make it a file that you may read") from err
        return dict(self._parse(at, line) for at, line in enumerate(lines, 1) if line.strip())

    def _parse(self, number: int, line: str) -> tuple[str, bytes]:
        try:
            name, kind, encoded = line.split()
            key = base64.b64decode(encoded, validate=True)
            if key_type(key) == kind:
                return name, key
        except ValueError:
            pass
        raise ConfigError(
            f"{self.path}:{number}: expected a name, a key type and a key", "remove this line"
        )

    def _write(self, pins: dict[str, bytes]) -> None:
        lines = [
            f"{name} {key_type(key)} {base64.b64encode(key).decode('ascii')}\n"
            for name, key in sorted(pins.items())
        ]
        atomic.write(self.path, "".join(lines))

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self.path.with_name(f"{self.path.name}{_LOCK}").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as err:
            if is_full(err):  # said once for all files of this machine
                raise
            named = str(err.filename or self.path).removesuffix(_LOCK)
            raise unwritable(Path(named), err) from err


def _known_key(endpoint: Endpoint) -> bytes | None:
    return base64.b64decode(endpoint.known_key.split()[1]) if endpoint.known_key else None


def _expected(endpoint: Endpoint) -> str | None:
    known = _known_key(endpoint)
    return fingerprint(known) if known else endpoint.host_key


def _wrong_key(endpoint: Endpoint, expected: str, key: bytes) -> HostKeyError:
    return HostKeyError(
        f"pod {endpoint.name}: not its host key, expected {expected}, "
        f"got {fingerprint(key)} ({key_type(key)})",
        "compare with `ssh-keygen -lf` on the pod or its log, then correct host_key in its file; "
        "otherwise someone is in between: send nothing",
    )


def _not_as_known(endpoint: Endpoint, key: bytes) -> HostKeyError:
    config = endpoint.host_config
    host = (config.host_key_alias if config else None) or endpoint.host
    name = host if endpoint.port == SSH_PORT else f"[{host}]:{endpoint.port}"
    return HostKeyError(
        f"pod {endpoint.name}: its host key {fingerprint(key)} is not the one that your "
        "known_hosts has for it",
        f"was the pod recreated? Compare with its log, then `ssh-keygen -R '{name}'`; "
        "otherwise someone is in between: send nothing",
    )


def _vouch(endpoint: Endpoint, key: bytes, ask: Ask | None) -> None:
    shown = fingerprint(key)
    if ask is None:
        raise HostKeyError(
            f"pod {endpoint.name}: its host key {shown} is unknown, "
            "and there is no terminal to confirm it at",
            f"compare it with the pod's own, then write `host_key: {shown}` into the pod's file",
        )
    if not ask(shown):
        raise HostKeyError(f"pod {endpoint.name}: host key {shown} refused by you")
