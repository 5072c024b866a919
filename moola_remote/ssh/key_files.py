"""What is in a key file, and what keeps it from being offered."""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import shlex
import stat
from pathlib import Path

from moola_remote.errors import ConfigError

_MAGIC = b"openssh-key-v1\0"
_OPENSSH = "OPENSSH PRIVATE KEY"


def check_identity_file(pod: str, path: Path) -> None:
    """Raise a ConfigError unless `path` is a private key that only its owner may read."""
    try:
        mode = path.stat().st_mode
        is_private = b"PRIVATE KEY" in path.read_bytes()
    except OSError as err:
        raise ConfigError(
            f"{path}: can't read the identity file of pod {pod}, {err.strerror}",
            "correct identity_file in the pod's file",
        ) from err
    if not is_private:
        raise ConfigError(
            f"{path}: not a private key",
            "identity_file names the private half, the one without .pub",
        )
    if mode & 0o077:
        raise ConfigError(
            f"{path}: others may read this private key, expected mode 600, got {mode & 0o777:o}",
            f"chmod 600 {shlex.quote(str(path))}",
        )


def is_private(path: Path) -> bool:
    """Return whether a file holds a private key, in whatever format."""
    try:
        return b"PRIVATE KEY" in path.read_bytes()
    except OSError:
        return False


def type_of(public: bytes) -> str:
    """Return the type that a public key in wire form begins with."""
    return public[4 : 4 + int.from_bytes(public[:4], "big")].decode("ascii", "replace")


def public_key(path: Path) -> bytes:
    """Return the public half of a key file, in SSH's wire form; empty where it can't be known.

    It is in the file beside it, or, of OpenSSH's own format, in clear in the file itself.
    """
    for candidate in (path, path.with_name(f"{path.name}.pub")):
        with contextlib.suppress(OSError, ValueError, IndexError, binascii.Error):
            text = candidate.read_text("ascii", "replace")
            if _OPENSSH in text:
                return _public_part(_content(text))
            if "PRIVATE KEY" not in text:
                return base64.b64decode(text.split()[1], validate=True)
    return str(path).encode() if is_private(path) else b""


def needs_no_agent(path: Path) -> bool:
    """Return whether a file alone is enough: a private key, without passphrase, in no device."""
    try:
        text = path.read_text("ascii", "replace")
    except OSError:
        return False
    if _OPENSSH in text:
        with contextlib.suppress(ValueError, binascii.Error):
            content = _content(text)
            is_bare = content.startswith(_MAGIC + b"\0\0\0\4none")  # its cipher
            return is_bare and not type_of(_public_part(content)).startswith("sk-")
        return False
    return "PRIVATE KEY" in text and "ENCRYPTED" not in text


def _content(text: str) -> bytes:
    return base64.b64decode("".join(line for line in text.splitlines() if "-----" not in line))


def _public_part(content: bytes) -> bytes:
    if not content.startswith(_MAGIC):
        raise ValueError("not OpenSSH's format")
    at = len(_MAGIC)
    for _ in range(3):  # cipher, key derivation, its options
        at += 4 + int.from_bytes(content[at : at + 4], "big")
    at += 4  # the number of keys, always 1
    size = int.from_bytes(content[at : at + 4], "big")
    return content[at + 4 : at + 4 + size]


def certified_key(path: Path) -> bytes:
    """Return the plain public key that a certificate is for; empty where it is none."""
    from cryptography.hazmat.primitives import serialization

    with contextlib.suppress(OSError, ValueError, IndexError):
        identity = serialization.load_ssh_public_identity(path.read_bytes())
        if isinstance(identity, serialization.SSHCertificate):
            text = identity.public_key().public_bytes(
                serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
            )
            return base64.b64decode(text.split()[1])
    return b""


def is_open_to_others(path: Path) -> bool:
    """Return whether others may read a private key of ours: OpenSSH's client leaves it out then."""
    try:
        found = path.stat()
    except OSError:
        return False
    return found.st_uid == os.getuid() and bool(found.st_mode & 0o077) and is_private(path)


def fault_of(path: Path) -> tuple[str, str]:
    """Return why a key file can't be offered, and the cure; empty where nothing is wrong."""
    word = shlex.quote(str(path))
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            return "is a folder", "name the key in it"
        content = path.read_bytes()
    except OSError as err:
        if public_key(path):
            return "is not here, but for its public half, and no agent holds it", f"ssh-add {word}"
        return f"can't be read, {err.strerror}", f"correct IdentityFile, or ssh-keygen -f {word}"
    if b"PRIVATE KEY" in content:
        open_to = is_open_to_others(path)
        return ("others may read it", f"chmod 600 {word}") if open_to else ("", "")
    if public_key(path):
        return (
            "is the public half, and no agent holds the private one",
            f"name the file without .pub, or ssh-add {word.removesuffix('.pub')}",
        )
    return "is no key", "name the file that ssh-keygen has made"
