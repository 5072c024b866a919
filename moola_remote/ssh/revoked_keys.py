"""ssh_config's ``RevokedHostKeys``: host keys that are taken from nobody, whoever vouches for them.

A file of public keys, one a line, or a revocation list (KRL) of ssh-keygen, which reads those.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import subprocess
import tempfile
from pathlib import Path

from moola_remote.errors import HostKeyError
from moola_remote.ssh.hostkeys import key_type
from moola_remote.text.sanitize import safe

KRL_MAGIC = b"SSHKRL\n\0"
TIMEOUT_S = 30.0


def revoked_keys(file: Path, shown: bytes | None) -> set[bytes]:
    """Return the keys that the file revokes; of a KRL only `shown`, if it does.

    Args:
        file: of the user's configuration.
        shown: the key that the host shows, in SSH's wire form; None before it has shown one.

    Raises:
        HostKeyError: it can't be read; ssh refuses every host then, too.
    """
    try:
        content = file.read_bytes()
    except OSError as err:
        raise HostKeyError(
            f"{safe(str(file), 200)}: RevokedHostKeys, can't be read, {err.strerror}",
            "write the file, empty if no key is revoked, or correct ~/.ssh/config",
        ) from err
    if content.startswith(KRL_MAGIC):
        return {shown} if shown is not None and _is_in_list(file, shown) else set()
    found = set()
    for line in content.decode("utf-8", "replace").splitlines():
        words = line.split()
        if len(words) >= 2 and not words[0].startswith("#"):
            with contextlib.suppress(binascii.Error, ValueError):
                found.add(base64.b64decode(words[1], validate=True))
    return found


def _is_in_list(file: Path, key: bytes) -> bool:
    with tempfile.NamedTemporaryFile("w", suffix=".pub") as public:
        public.write(f"{key_type(key)} {base64.b64encode(key).decode()}\n")
        public.flush()
        argv = ["ssh-keygen", "-Q", "-f", str(file), public.name]
        try:
            done = subprocess.run(argv, capture_output=True, timeout=TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as err:
            raise _unknown(file, str(err)) from err
    said = done.stdout.decode("utf-8", "replace")
    if done.returncode and "REVOKED" not in said:
        raise _unknown(file, done.stderr.decode("utf-8", "replace").strip())
    return done.returncode != 0


def _unknown(file: Path, why: str) -> HostKeyError:
    return HostKeyError(
        f"{safe(str(file), 200)}: RevokedHostKeys, ssh-keygen -Q can't ask it, {safe(why, 300)}",
        "run it by hand; it is a revocation list of ssh-keygen -k",
    )
