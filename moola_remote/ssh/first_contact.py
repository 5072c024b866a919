"""A host key that has no pin yet: who vouches for it, and how OpenSSH's client shows one."""

from __future__ import annotations

import base64
import binascii
import logging
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from moola_remote.errors import HostKeyError
from moola_remote.ssh.host_key_options import NO_OTHER_JUDGE
from moola_remote.ssh.hostkeys import Vouches, fingerprint, key_type
from moola_remote.ssh.user_known_hosts import KnownKeys, principals, read_known_hosts
from moola_remote.text.sanitize import safe

if TYPE_CHECKING:
    from moola_remote.ssh.endpoint import Endpoint
    from moola_remote.ssh.hostkeys import Ask
logger = logging.getLogger(__name__)
NAME = "shown"
# Nobody logs in: the key is checked before that.
OPTIONS = (
    *("BatchMode=yes", "ControlPath=none", "ConnectionAttempts=1", "LogLevel=QUIET"),
    *("PreferredAuthentications=none", "StrictHostKeyChecking=accept-new", "HashKnownHosts=no"),
    *NO_OTHER_JUDGE,
    *(f"HostKeyAlias={NAME}", "PermitLocalCommand=no", "RemoteCommand=none", "RequestTTY=no"),
    "ClearAllForwardings=yes",
)


def shown_key(endpoint: Endpoint, timeout_s: float) -> bytes | None:
    """Return the host key that OpenSSH's client is shown; None where it reaches nobody.

    For a server with which paramiko has no algorithm in common. The key is in SSH's wire form.

    It vouches for nothing: whoever answers shows one. The pin that is made of it is what OpenSSH
    checks afterwards.

    Args:
        endpoint: the pod, with its `host_config`.
        timeout_s: for the TCP connection.
    """
    config = endpoint.host_config
    if config is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        known = Path(folder, "known_hosts")
        options = (
            *OPTIONS,
            f'UserKnownHostsFile="{known}"',
            f"ConnectTimeout={max(round(timeout_s), 1)}",
            *(("KnownHostsCommand=none",) if config.known_hosts_command else ()),
        )
        argv = ["ssh", "-T", *(word for option in options for word in ("-o", option))]
        try:
            subprocess.run(
                [*argv, *config.arguments, "--", config.host, "true"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=3 * timeout_s,
                check=False,
            )
            name, _, key = known.read_text().split()[:3]
            return base64.b64decode(key, validate=True) if name == NAME else None
        except (OSError, subprocess.TimeoutExpired, ValueError, binascii.Error):
            return None


def vouches_of(endpoint: Endpoint, first: KnownKeys) -> Vouches | None:
    """Return what the user's own known_hosts say of a key; None where they are not read."""
    config = endpoint.host_config
    if config is None:
        return None

    def vouches(key: bytes, certificate: bytes | None) -> bool | None:
        is_asked = config.known_hosts_command or config.revoked_host_keys
        known = read_known_hosts(config, key) if is_asked else first
        if key in known.revoked:
            file = config.revoked_host_keys
            by = f"known_hosts, or by {safe(str(file), 200)}" if file else "known_hosts"
            raise HostKeyError(
                f"pod {endpoint.name}: its host key {fingerprint(key)} is revoked by your {by}",
                "remove the line that revokes it, or ask who runs the pod for its new key",
            )
        if known.vouches(principals(config), key, certificate):
            return True
        return None if key_type(key) in map(key_type, known.keys) else False

    return vouches


def as_configured(ask: Ask | None, endpoint: Endpoint) -> Ask | None:
    """Answer the question for an unknown key where the user's StrictHostKeyChecking does."""
    unknown_keys = endpoint.host_config.unknown_keys if endpoint.host_config else "ask"

    def accept(shown: str) -> bool:
        logger.warning(
            "pod %s: host key %s is unknown and taken unseen, as your ssh configuration has "
            "StrictHostKeyChecking accept-new or no; from now on it is pinned",
            endpoint.name,
            shown,
        )
        return True

    def refuse(shown: str) -> bool:
        raise HostKeyError(
            f"pod {endpoint.name}: its host key {shown} is unknown, and your ssh configuration "
            "has StrictHostKeyChecking yes",
            f"compare it with the pod's own, then write `host_key: {shown}` into the pod's file",
        )

    return {"ask": ask, "accept": accept, "refuse": refuse}[unknown_keys]
