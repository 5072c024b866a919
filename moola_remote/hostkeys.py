"""Host keys, pinned by the pod's name rather than its address, in a file that paramiko and OpenSSH both read."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from moola_remote.errors import ConfigError, HostKeyError

if TYPE_CHECKING:
    import paramiko

Ask = Callable[[str], bool]


class Named(Protocol):
    """The part of an Endpoint that matters here."""

    @property
    def name(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def host_key(self) -> str | None: ...


def alias(pod: str) -> str:
    """The name that a pod's key is kept under.

    Raises:
        ConfigError: a name that known_hosts would read as a pattern or as several names.
    """
    if not re.fullmatch(r"[A-Za-z0-9._-]+", pod):
        raise ConfigError(f"pod {pod!r}: expected letters, digits, dot, dash and underscore in its name")
    return f"moola-{pod}"


def fingerprint(blob: bytes) -> str:
    """``SHA256:...`` of a public key, as ``ssh-keygen -l`` prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode("ascii").rstrip("=")


def ssh_options(known_hosts: Path, pod: str) -> list[str]:
    """What makes OpenSSH's ssh check the same pin."""
    return [
        *("-o", f'UserKnownHostsFile="{known_hosts}"'),
        *("-o", "GlobalKnownHostsFile=/dev/null"),
        *("-o", f"HostKeyAlias={alias(pod)}"),
        *("-o", "StrictHostKeyChecking=yes"),
        *("-o", "UpdateHostKeys=no"),
    ]


class KnownHosts:
    """The file of pins, one key a pod.

    Args:
        path: the file; its folder is made with the first pin.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, pod: str) -> bytes | None:
        """The pinned public key of a pod, or None.

        Raises:
            ConfigError: the file is not what we wrote.
        """
        return self._read().get(alias(pod))

    def pin(self, pod: str, blob: bytes) -> None:
        """Keep this key as the pod's; it replaces an older one."""
        with self._lock():
            self._write({**self._read(), alias(pod): blob})

    def forget(self, pod: str) -> bool:
        """Drop the pod's key, as when the pod is gone for good; False if there was none."""
        with self._lock():
            pins = self._read()
            known = pins.pop(alias(pod), None) is not None
            if known:
                self._write(pins)
            return known

    def guard(self, client: paramiko.SSHClient, endpoint: Named, ask: Ask | None) -> None:
        """Make `client` accept this pod's key alone, and pin it at first contact.

        Args:
            client: not connected yet; knows no other keys.
            endpoint: the pod; its `host_key` is the fingerprint that is expected, or None.
            ask: whether a fingerprint never seen before is the right one; None where nobody can be asked.
        """
        client.set_missing_host_key_policy(_policy(self, endpoint, ask))

    def check(self, endpoint: Named, blob: bytes, ask: Ask | None) -> None:
        """Refuse this key unless it is the pod's.

        Raises:
            HostKeyError: it is another than the pinned or the expected one, or nobody vouches for it.
        """
        shown = fingerprint(blob)
        pinned = self.get(endpoint.name)
        if pinned is not None and pinned != blob:
            raise HostKeyError(
                f"pod {endpoint.name}: its host key has changed, expected {fingerprint(pinned)}, got {shown}",
                "if the pod was made anew, drop the old key: "
                f"ssh-keygen -R {alias(endpoint.name)} -f {self.path}; otherwise someone is in between: do not connect",
            )
        if endpoint.host_key not in (None, shown):
            raise HostKeyError(
                f"pod {endpoint.name}: wrong host key, expected {endpoint.host_key}, got {shown} ({key_type(blob)})",
                "compare with `ssh-keygen -lf` on the pod; if that shows this one, correct host_key in the pod's file",
            )
        if pinned is not None:
            return
        if endpoint.host_key is None:
            self._vouch(endpoint, shown, ask)
        self.pin(endpoint.name, blob)

    def _vouch(self, endpoint: Named, shown: str, ask: Ask | None) -> None:
        if ask is None:
            raise HostKeyError(
                f"pod {endpoint.name}: its host key {shown} is unknown, and nobody is there to ask",
                f"compare it with the pod's own, then write host_key: {shown} into the pod's file",
            )
        if not ask(shown):
            raise HostKeyError(f"pod {endpoint.name}: host key {shown} refused by you")

    def _read(self) -> dict[str, bytes]:
        try:
            lines = self.path.read_text(encoding="ascii").splitlines()
        except FileNotFoundError:
            return {}
        except UnicodeDecodeError as err:
            raise ConfigError(f"{self.path}: not a file of host keys") from err
        pins = {}
        for number, line in enumerate(lines, 1):
            try:
                name, _, blob = line.split(" ")
                pins[name] = base64.b64decode(blob, validate=True)
            except ValueError as err:
                raise ConfigError(
                    f"{self.path}:{number}: expected a name, a key type and a key", "mend or remove this line"
                ) from err
        return pins

    def _write(self, pins: dict[str, bytes]) -> None:
        text = "".join(
            f"{name} {key_type(blob)} {base64.b64encode(blob).decode('ascii')}\n"
            for name, blob in sorted(pins.items())
        )
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, delete=False) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(self.path)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.path.with_name(self.path.name + ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def key_type(blob: bytes) -> str:
    """``ssh-ed25519`` and the like: the first string of a public key."""
    length = int.from_bytes(blob[:4], "big")
    return blob[4 : 4 + length].decode("ascii")


def _policy(pins: KnownHosts, endpoint: Named, ask: Ask | None) -> paramiko.MissingHostKeyPolicy:
    """Paramiko asks it about every key, since its own lists stay empty."""
    import paramiko

    class Policy(paramiko.MissingHostKeyPolicy):
        def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
            pins.check(endpoint, key.asbytes(), ask)

    return Policy()
