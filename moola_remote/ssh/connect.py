"""From a pod's endpoint to an authenticated connection, or to one line that says why not."""

from __future__ import annotations

import contextlib
import logging
import shlex
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moola_remote.errors import ConfigError, UnreachableError
from moola_remote.files.disk import is_full
from moola_remote.ssh.hostkeys import KnownHosts
from moola_remote.ssh.socket import ReadAheadSocket
from moola_remote.ssh.transport import Transport
from moola_remote.text.sanitize import safe

if TYPE_CHECKING:
    import fabric
    import paramiko

    from moola_remote.ssh.endpoint import Endpoint
    from moola_remote.ssh.hostkeys import Ask
logger = logging.getLogger(__name__)
# paramiko would take aes128-ctr with a separate MAC first; GCM costs it less.
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)


def dial(
    endpoint: Endpoint, *, known_hosts: Path, ask: Ask | None, timeout_s: float
) -> tuple[fabric.Connection, ReadAheadSocket]:
    """Connect and authenticate; the arguments and errors are those of `transport.connect`."""
    # With no handler at all, logging would print paramiko's own tracebacks to stderr.
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    started = time.monotonic()
    pins = KnownHosts(known_hosts)
    keys = _keys_to_offer(endpoint)
    sock = _open_socket(endpoint, timeout_s)
    with contextlib.ExitStack() as on_error:
        on_error.callback(sock.close)
        connection = _make_connection(endpoint, sock, pins, timeout_s, keys)
        on_error.callback(connection.close)
        pins.guard(connection.client, endpoint, ask)
        with _one_line_errors(endpoint):
            connection.open()
        on_error.pop_all()
    took_ms = 1000 * (time.monotonic() - started)
    logger.info("connected to %s in %.0f ms", place(endpoint), took_ms)
    return connection, sock


def place(endpoint: Endpoint) -> str:
    """How messages name a pod."""
    return f"{endpoint.name} ({endpoint.host}:{endpoint.port})"


def _keys_to_offer(endpoint: Endpoint) -> dict[str, Any]:
    """The identity file alone; without one the agent's keys and those of ~/.ssh."""
    path = endpoint.identity_file
    if path is None:
        return {"allow_agent": True, "look_for_keys": True}
    try:
        mode = path.stat().st_mode
        is_private = b"PRIVATE KEY" in path.read_bytes()
    except OSError as err:
        raise ConfigError(
            f"{path}: can't read the identity file of pod {endpoint.name}, {err.strerror}",
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
    # Only an agent can open a key that has a passphrase: nobody is asked for one.
    return {
        "key_filename": str(path),
        "allow_agent": _has_passphrase(path),
        "look_for_keys": False,
    }


def _has_passphrase(path: Path) -> bool:
    import paramiko

    try:
        paramiko.PKey.from_path(path)
    except (paramiko.PasswordRequiredException, TypeError):  # TypeError: cryptography's, for PEM
        return True
    except (paramiko.SSHException, ValueError) as err:
        raise ConfigError(f"{path}: not a private key that can be read, {err}") from err
    return False


def _open_socket(endpoint: Endpoint, timeout_s: float) -> ReadAheadSocket:
    where = place(endpoint)
    try:
        sock = socket.create_connection((endpoint.host, endpoint.port), timeout=timeout_s)
    except socket.gaierror as err:
        raise UnreachableError(
            f"{where}: no such host name", "check the name, and this machine's network"
        ) from err
    except TimeoutError as err:
        raise UnreachableError(
            f"{where}: no answer within {timeout_s:.0f} s",
            "is the pod running, and is its port open?",
        ) from err
    except ConnectionRefusedError as err:
        raise UnreachableError(
            f"{where}: connection refused",
            "is the pod running, and is this the port of its SSH server?",
        ) from err
    except OSError as err:
        raise UnreachableError(f"{where}: {err.strerror or err}") from err
    # Small messages (frames, acknowledgements) must not wait for each other.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ReadAheadSocket(sock)


def _make_connection(
    endpoint: Endpoint,
    sock: ReadAheadSocket,
    pins: KnownHosts,
    timeout_s: float,
    keys: dict[str, Any],
) -> fabric.Connection:
    import fabric
    import paramiko

    def make_transport(raw: Any, **options: Any) -> paramiko.Transport:
        transport = paramiko.Transport(raw, **options)
        offered = transport.get_security_options()
        offered.ciphers = tuple(name for name in CIPHERS if name in offered.ciphers)
        offered.key_types = pins.known_type_first(endpoint, offered.key_types)
        return transport

    return fabric.Connection(
        endpoint.host,
        user=endpoint.user,
        port=endpoint.port,
        config=fabric.Config(overrides={"load_ssh_configs": False}),
        connect_timeout=timeout_s,
        connect_kwargs={
            "sock": sock,
            "banner_timeout": timeout_s,
            "auth_timeout": timeout_s,
            "channel_timeout": timeout_s,
            "transport_factory": make_transport,
            **keys,
        },
    )


@contextlib.contextmanager
def _one_line_errors(endpoint: Endpoint) -> Iterator[None]:
    import paramiko

    where = place(endpoint)
    try:
        yield
    except paramiko.AuthenticationException as err:
        raise _auth_error(endpoint, err) from err
    except paramiko.SSHException as err:
        if "No authentication methods" in str(err) or "passphrase" in str(err):
            raise _auth_error(endpoint, err) from err
        if "banner" in str(err) or "protocol version" in str(err):
            raise UnreachableError(
                f"{where}: something listens there, but no SSH server answers",
                "check host and port; if the pod has just been started, try again",
            ) from err
        raise UnreachableError(f"{where}: SSH failed, {safe(str(err))}") from err
    except (OSError, EOFError) as err:
        if is_full(err):  # of this machine: the pin can't be written
            raise
        said = safe(str(err)) or "closed by the pod"
        raise UnreachableError(f"{where}: connection lost while connecting, {said}") from err


def _auth_error(endpoint: Endpoint, err: paramiko.SSHException) -> UnreachableError:
    import paramiko

    where, identity = place(endpoint), endpoint.identity_file
    offered = identity or "each key of the agent and of ~/.ssh"
    if "timeout" in str(err).lower():
        return UnreachableError(f"{where}: no answer to our key in time")
    if isinstance(err, paramiko.PasswordRequiredException):
        return UnreachableError(
            f"{where}: {identity} has a passphrase, and no agent holds it", f"ssh-add {identity}"
        )
    if "No authentication methods" in str(err):
        return UnreachableError(
            f"{where}: no key to offer", "set identity_file in the pod's file, or start ssh-agent"
        )
    return UnreachableError(
        f"{where}: the pod refuses user {endpoint.user} with {offered}",
        "add the public key to ~/.ssh/authorized_keys there, or correct user and identity_file",
    )


def connect(
    endpoint: Endpoint,
    *,
    known_hosts: Path,
    ask: Ask | None = None,
    timeout_s: float = 10.0,
) -> Transport:
    """Connect to a pod; its host key is checked against the pin, and pinned at first contact.

    The user's ~/.ssh/config and known_hosts are not read.

    Args:
        endpoint: where the pod is.
        known_hosts: the tool's own file of pins.
        ask: whether a fingerprint never seen before is the right one; None if nobody is there.
        timeout_s: for the TCP connection, for the banner and for the authentication, each.

    Raises:
        UnreachableError: refused, unknown name, timeout, no SSH server, or the pod refuses our key.
        HostKeyError: the key is unknown and nobody vouches for it, or it has changed.
        ConfigError: the identity file is missing, readable by others, or no private key.
    """
    from moola_remote.ssh.fabric import FabricTransport

    return FabricTransport(
        place(endpoint),
        *dial(endpoint, known_hosts=known_hosts, ask=ask, timeout_s=timeout_s),
    )
