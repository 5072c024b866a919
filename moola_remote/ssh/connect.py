"""From a pod's endpoint to an authenticated connection, or to one line that says why not."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moola_remote.errors import UnreachableError
from moola_remote.ssh.connection import Connection
from moola_remote.ssh.endpoint import place
from moola_remote.ssh.first_contact import as_configured, vouches_of
from moola_remote.ssh.hostkeys import KnownHosts
from moola_remote.ssh.keys import AskPassphrase, KeyRing, KeySource
from moola_remote.ssh.route import open_route
from moola_remote.ssh.socket import ReadAheadSocket
from moola_remote.ssh.transport import Transport
from moola_remote.ssh.user_known_hosts import KnownKeys, read_known_hosts

if TYPE_CHECKING:
    import paramiko

    from moola_remote.ssh.endpoint import Endpoint
    from moola_remote.ssh.hostkeys import Ask
    from moola_remote.ssh.keeping import Keeping
    from moola_remote.ssh.link import Link
    from moola_remote.ssh.user_config import HostConfig

logger = logging.getLogger(__name__)
# paramiko would take aes128-ctr with a separate MAC first; GCM costs it less.
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
# A server that ends the connection after too many keys is shown the others on a second one. Not on
# a third: OpenSSH 9.8 and newer lets an address wait that fails too often.
MAX_CONNECTIONS = 2
# OpenSSH's penalties begin with 15 s; each refused connection adds nothing to them.
PENALTY_PATIENCE_S = 60.0
PENALTY_PAUSE_S = 5.0


def import_paramiko() -> None:
    """Import paramiko without invoke, a fifth of the start of a command.

    It needs invoke for a `Match exec` alone, and only as the reader of the user's configuration:
    then it was imported before, whole.
    """
    if "paramiko" in sys.modules or "invoke" in sys.modules:
        return
    sys.modules["invoke"] = None  # type: ignore[assignment]  # raises ImportError, which it takes
    try:
        import paramiko  # noqa: F401
    finally:
        del sys.modules["invoke"]


@dataclass(frozen=True)
class Dialler:
    """What connecting needs beside the endpoint; the arguments of `connect`."""

    pins: KnownHosts
    ask: Ask | None
    ask_passphrase: AskPassphrase | None
    timeout_s: float

    def dial(
        self, endpoint: Endpoint, passed: tuple[str, ...] = ()
    ) -> tuple[Connection, ReadAheadSocket]:
        """Connect and authenticate; where sshd lets this address wait, wait and say so.

        Args:
            endpoint: a pod or a jump host.
            passed: the hosts that wait for this one.
        """
        import_paramiko()
        from moola_remote.ssh.login import PenaltyError

        ring = KeyRing(KeySource.of(endpoint), self.ask_passphrase)
        started = time.monotonic()
        is_said = False
        while time.monotonic() - started < PENALTY_PATIENCE_S:
            with contextlib.suppress(PenaltyError):
                return self._offer_keys(endpoint, passed, ring)
            if not is_said:
                logger.warning("%s: %s; waiting up to %.0f s", *_penalty(endpoint))
                is_said = True
            time.sleep(PENALTY_PAUSE_S)
        where, why, patience_s = _penalty(endpoint)
        raise UnreachableError(
            f"{where}: {why}; still so after {patience_s:.0f} s",
            "wait some minutes; who set the server up may raise PerSourcePenalties or MaxStartups",
        )

    def _offer_keys(
        self, endpoint: Endpoint, passed: tuple[str, ...], ring: KeyRing
    ) -> tuple[Connection, ReadAheadSocket]:
        from moola_remote.ssh.login import TooManyKeysError, too_many

        for _ in range(MAX_CONNECTIONS):
            with contextlib.suppress(TooManyKeysError):
                return self._connect(endpoint, passed, ring)
        raise too_many(endpoint, ring)

    def _connect(
        self, endpoint: Endpoint, passed: tuple[str, ...], ring: KeyRing
    ) -> tuple[Connection, ReadAheadSocket]:
        from moola_remote.ssh.login import one_line_errors

        known = read_known_hosts(endpoint.host_config) if endpoint.host_config else KnownKeys()
        sock = open_route(endpoint, passed, self._dial_gateway, self.timeout_s)
        with contextlib.ExitStack() as on_error:
            on_error.callback(sock.close)
            connection = self._make_connection(endpoint, sock, known, ring)
            on_error.callback(connection.close)
            ask = _for_jump(self.ask, endpoint) if passed else self.ask
            self.pins.guard(
                connection.client,
                endpoint,
                as_configured(ask, endpoint),
                vouches_of(endpoint, known),
            )
            with one_line_errors(endpoint, sock):
                connection.open()
            on_error.pop_all()
        return connection, sock

    def _dial_gateway(
        self, gateway: Endpoint, passed: tuple[str, ...]
    ) -> tuple[paramiko.Transport, Callable[[], object]]:
        connection, sock = self.dial(gateway, passed)

        def close() -> None:
            connection.close()
            sock.close()

        return connection.transport, close

    def _make_connection(
        self, endpoint: Endpoint, sock: ReadAheadSocket, known: KnownKeys, ring: KeyRing
    ) -> Connection:
        import paramiko

        from moola_remote.ssh.login import KeyLogin

        def make_transport(raw: Any, **options: Any) -> paramiko.Transport:
            transport = paramiko.Transport(raw, **options)
            offered = transport.get_security_options()
            offered.ciphers = tuple(name for name in CIPHERS if name in offered.ciphers)
            offered.key_types = self.pins.known_type_first(
                endpoint, offered.key_types, known.types()
            )
            return transport

        return Connection(
            endpoint.host,
            port=endpoint.port,
            user=endpoint.user,
            timeout_s=self.timeout_s,
            sock=sock,
            banner_timeout=self.timeout_s,
            auth_timeout=self.timeout_s,
            channel_timeout=self.timeout_s,
            transport_factory=make_transport,
            auth_strategy=KeyLogin(endpoint, ring),
        )


def _penalty(endpoint: Endpoint) -> tuple[str, str, float]:
    why = "sshd refuses this address for a while, after failed logins or too many at once"
    return place(endpoint), why, PENALTY_PATIENCE_S


def _for_jump(ask: Ask | None, endpoint: Endpoint) -> Ask | None:
    if ask is None:
        return None
    return lambda shown: ask(f"{shown} (jump host {endpoint.host})")


def connect(
    endpoint: Endpoint,
    *,
    known_hosts: Path,
    ask: Ask | None = None,
    ask_passphrase: AskPassphrase | None = None,
    keep: Keeping | None = None,
    timeout_s: float = 10.0,
) -> Transport:
    """Connect to a pod; its host key is checked against the pin, and pinned at first contact.

    Jump hosts, a ProxyCommand, keys and known_hosts are those of ``endpoint.host_config``; without
    one, the user's ~/.ssh/config and known_hosts are not read.

    Args:
        endpoint: where the pod is.
        known_hosts: the tool's own file of pins.
        ask: confirms a fingerprint never seen before; None if not interactive.
        ask_passphrase: of a key file; None if not interactive.
        keep: OpenSSH's client connects where it can, and its connection stays for the next command;
            None makes a connection of our own, which ends with `Transport.close`.
        timeout_s: for the TCP connection, for the banner and for the authentication, each.

    Raises:
        UnreachableError: refused, unknown name, timeout, no SSH server, or the pod refuses our key.
        HostKeyError: the key is unknown and not confirmed, or it has changed.
        ConfigError: the identity file is missing, readable by others, or no private key.
    """
    from moola_remote.ssh.ssh_transport import SSHTransport

    dialler = Dialler(KnownHosts(known_hosts), ask, ask_passphrase, timeout_s)

    def own() -> Link:
        return _own_link(dialler, endpoint)

    def any_link() -> Link:
        return _kept_link(dialler, endpoint, keep) if keep else own()

    return SSHTransport(place(endpoint), any_link(), spare=own, again=any_link)


def _own_link(dialler: Dialler, endpoint: Endpoint) -> Link:
    from moola_remote.ssh.link import ParamikoLink

    # With no handler at all, logging would print paramiko's own tracebacks to stderr.
    logging.getLogger("paramiko").addHandler(logging.NullHandler())
    started = time.monotonic()
    connection, sock = dialler.dial(endpoint)
    took_ms = 1000 * (time.monotonic() - started)
    logger.info("connected to %s in %.0f ms", place(endpoint), took_ms)
    alive = endpoint.host_config.alive if endpoint.host_config else None
    return ParamikoLink(place(endpoint), connection, sock, alive)


def _kept_link(dialler: Dialler, endpoint: Endpoint, keep: Keeping) -> Link:
    """Return OpenSSH's connection; where it makes none, one of our own, or why there is none."""
    from moola_remote.ssh import master

    found = master.find(endpoint, dialler.pins, keep, timeout_s=dialler.timeout_s)
    link = found.open() if found else None
    if link:
        return link
    try:
        return _own_link(dialler, endpoint)
    except UnreachableError as err:
        from moola_remote.ssh.login import NoCommonAlgorithmError

        is_ours = isinstance(err, NoCommonAlgorithmError)
        if not (is_ours and endpoint.host_config and not endpoint.host_config.jumps):
            raise
        other = _openssh_link(dialler, endpoint, keep, endpoint.host_config)
        if other is None:
            raise
        return other


def _openssh_link(
    dialler: Dialler, endpoint: Endpoint, keep: Keeping, config: HostConfig
) -> Link | None:
    """Judge the host key as at any first contact, then have OpenSSH connect; None if it can't."""
    from moola_remote.ssh import master
    from moola_remote.ssh.first_contact import shown_key

    key = shown_key(endpoint, dialler.timeout_s)
    if key is None:
        return None
    vouches = vouches_of(endpoint, read_known_hosts(config))
    is_vouched = vouches(key, None) if vouches else False
    ask = as_configured(dialler.ask, endpoint)
    dialler.pins.check(endpoint, key, ask, is_vouched=is_vouched)
    found = master.find(endpoint, dialler.pins, keep, timeout_s=dialler.timeout_s)
    return found.open() if found else None
