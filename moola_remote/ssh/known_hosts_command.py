"""ssh_config's ``KnownHostsCommand``: a program of the user's that prints lines of known_hosts."""

from __future__ import annotations

import base64
import shlex
import subprocess
from typing import TYPE_CHECKING

from moola_remote.errors import HostKeyError
from moola_remote.ssh.hostkeys import fingerprint, key_type
from moola_remote.ssh.tokens import expand
from moola_remote.text.sanitize import safe

if TYPE_CHECKING:
    from moola_remote.ssh.user_config import HostConfig

TIMEOUT_S = 30.0


def known_hosts_lines(config: HostConfig, name: str, key: bytes | None) -> str:
    """Run the command and return what it prints; empty where none is configured.

    As ssh does: once for the order in which key types are asked for, once for the key that the
    host shows (ssh_config(5), KnownHostsCommand and TOKENS).

    Args:
        config: of the host.
        name: under which known_hosts has the host.
        key: that the host shows, in SSH's wire form; None before it has shown one.

    Raises:
        HostKeyError: it can't be run, or ends with an error; ssh connects no further either.
    """
    if config.known_hosts_command is None:
        return ""
    tokens = {
        **config.tokens,
        "H": name,
        "I": "HOSTNAME" if key else "ORDER",
        "K": base64.b64encode(key).decode() if key else "NONE",
        "f": fingerprint(key) if key else "NONE",
        "t": key_type(key) if key else "NONE",
    }
    where = f"KnownHostsCommand {safe(config.known_hosts_command, 200)}"
    cure = f"run it by hand; it is the configuration of ssh for {config.host}"
    try:
        argv = [expand(word, tokens) for word in shlex.split(config.known_hosts_command)]
        done = subprocess.run(
            argv, capture_output=True, stdin=subprocess.DEVNULL, timeout=TIMEOUT_S, check=False
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as err:
        raise HostKeyError(f"{where}: can't be run, {safe(str(err), 300)}", cure) from err
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = f", {safe(said[-1], 300)}" if said else ""
        raise HostKeyError(f"{where}: ended with {done.returncode}{reason}", cure)
    return done.stdout.decode("utf-8", "replace")
