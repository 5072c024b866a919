"""The user's own known_hosts: whether they vouch for a key that a host shows.

Every form of sshd(8), SSH_KNOWN_HOSTS FILE FORMAT: names, patterns, hashed names,
``@cert-authority`` and ``@revoked``. Read by us, since paramiko stops at the first marker
(findings/).
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fnmatch
import hashlib
import hmac
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from moola_remote.ssh.hostkeys import CERTIFICATE, SSH_PORT, key_type
from moola_remote.ssh.known_hosts_command import known_hosts_lines
from moola_remote.ssh.revoked_keys import revoked_keys

if TYPE_CHECKING:
    from moola_remote.ssh.user_config import HostConfig
# Of files that others may have filled.
MAX_BYTES = 16 * 2**20


@dataclass(frozen=True)
class KnownKeys:
    """What known_hosts says of one host: public keys in SSH's wire form."""

    keys: frozenset[bytes] = frozenset()
    authorities: frozenset[bytes] = frozenset()
    revoked: frozenset[bytes] = frozenset()

    def types(self) -> list[str]:
        """Return the signature types to ask the host for, the vouched ones first."""
        wanted = [CERTIFICATE] if self.authorities else []
        return [*wanted, *(key_type(key) for key in sorted(self.keys))]

    def vouches(self, names: Sequence[str], key: bytes, certificate: bytes | None) -> bool:
        """Whether the key is known, or its certificate is one of a trusted authority for `names`.

        Args:
            names: that the certificate may be for.
            key: the plain public key.
            certificate: what the host showed, if that was one.
        """
        if key in self.revoked:
            return False
        return key in self.keys or (
            certificate is not None
            and _is_valid(certificate, names, self.authorities - self.revoked)
        )


def read_known_hosts(config: HostConfig, shown: bytes | None = None) -> KnownKeys:
    """Read the user's and the system's files; what can't be read says nothing.

    Args:
        config: of the host; its ``KnownHostsCommand`` is run after the files are read.
        shown: the key that the host shows, in SSH's wire form; None before it has shown one.

    Raises:
        HostKeyError: the command fails, or ``RevokedHostKeys`` can't be read.
    """
    names = lookup_names(config)
    texts = [*map(_text, config.known_hosts), known_hosts_lines(config, names[0], shown)]
    found: dict[str, set[bytes]] = {"": set(), "@cert-authority": set(), "@revoked": set()}
    for marker, key in (pair for text in texts for pair in _matching(text, names)):
        if marker in found:
            found[marker].add(key)
    if config.revoked_host_keys is not None:
        found["@revoked"] |= revoked_keys(config.revoked_host_keys, shown)
    return KnownKeys(
        keys=frozenset(found[""]),
        authorities=frozenset(found["@cert-authority"]),
        revoked=frozenset(found["@revoked"]),
    )


def lookup_names(config: HostConfig) -> list[str]:
    """Return the name under which known_hosts has the host."""
    if config.host_key_alias:
        return [config.host_key_alias.lower()]
    name = config.hostname.lower()
    return [name if config.port == SSH_PORT else f"[{name}]:{config.port}"]


def principals(config: HostConfig) -> list[str]:
    """Return the names that a certificate of the host may be for: OpenSSH leaves the port out."""
    return [(config.host_key_alias or config.hostname).lower()]


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _matching(text: str, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        marker = words.pop(0) if words[0].startswith("@") else ""
        if len(words) < 3 or not any(matches(words[0], name) for name in names):
            continue
        with contextlib.suppress(binascii.Error, ValueError):
            yield marker, base64.b64decode(words[2], validate=True)


def matches(pattern: str, name: str) -> bool:
    """Whether the first field of a line is for `name`: hashed, or patterns of which any may fit."""
    if pattern.startswith("|1|"):
        with contextlib.suppress(binascii.Error, ValueError):
            salt, digest = (base64.b64decode(word) for word in pattern[3:].split("|"))
            # OpenSSH's format is SHA-1; a host that it hides by is no secret of ours.
            ours = hmac.new(salt, name.encode(), hashlib.sha1).digest()
            return hmac.compare_digest(ours, digest)
        return False
    is_named = False
    for one in pattern.lower().split(","):
        # fnmatch knows [..] too, which known_hosts means literally.
        fits = fnmatch.fnmatchcase(name, one.lstrip("!").replace("[", "[[]"))
        if fits and one.startswith("!"):
            return False
        is_named = is_named or fits
    return is_named


def _is_valid(certificate: bytes, names: Sequence[str], authorities: frozenset[bytes]) -> bool:
    """Whether one of `authorities` has signed this host certificate for one of `names`, and now."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    line = f"{key_type(certificate)} ".encode() + base64.b64encode(certificate)
    try:
        shown = serialization.load_ssh_public_identity(line)
        if not isinstance(shown, serialization.SSHCertificate):
            return False
        shown.verify_cert_signature()
        text = shown.signature_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    allowed = [name.decode("utf-8", "replace").lower() for name in shown.valid_principals]
    return (
        base64.b64decode(text.split()[1]) in authorities
        and shown.type is serialization.SSHCertificateType.HOST
        and not shown.critical_options
        and shown.valid_after <= time.time() < shown.valid_before
        and any(fnmatch.fnmatchcase(name, one) for name in names for one in allowed)
    )
