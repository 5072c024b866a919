"""A TCP connection to a host, from where the user's configuration says."""

from __future__ import annotations

import contextlib
import errno
import socket
from typing import TYPE_CHECKING, Any

from moola_remote.errors import UnreachableError
from moola_remote.ssh.endpoint import Endpoint, place
from moola_remote.ssh.interfaces import address_of
from moola_remote.ssh.socket import ReadAheadSocket
from moola_remote.text.sanitize import safe

if TYPE_CHECKING:
    from moola_remote.ssh.user_config import HostConfig
FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}


def no_answer(where: str, timeout_s: float) -> UnreachableError:
    """Return the error for an address at which nothing answers."""
    return UnreachableError(
        f"{where}: no answer within {timeout_s:.0f} s", "is the pod running, and is its port open?"
    )


def by_tcp(endpoint: Endpoint, timeout_s: float) -> ReadAheadSocket:
    """Connect to a host itself.

    Raises:
        UnreachableError: it can't be reached, or not from where the configuration says.
    """
    where = place(endpoint)
    config = endpoint.host_config
    try:
        sock = _connect(endpoint, config, timeout_s)
    except socket.gaierror as err:
        family = config.address_family if config else ""
        only = f" with AddressFamily {family}" if family in FAMILIES else ""
        raise UnreachableError(
            f"{where}: no such host name{only}",
            "check the name, and this machine's network; an alias must be in ~/.ssh/config",
        ) from err
    except TimeoutError as err:
        raise no_answer(where, timeout_s) from err
    except ConnectionRefusedError as err:
        raise UnreachableError(
            f"{where}: connection refused",
            "is the pod running, and is this the port of its SSH server?",
        ) from err
    except OSError as err:
        bound = config.bind_address if config and err.errno == errno.EADDRNOTAVAIL else None
        raise UnreachableError(
            f"{where}: {err.strerror or err}",
            f"no address of this machine: BindAddress {safe(bound, 100)}; correct it, or connect"
            " the network that has it"
            if bound
            else "",
        ) from err
    # Small messages (frames, acknowledgements) must not wait for each other.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ReadAheadSocket(sock)


def _connect(endpoint: Endpoint, config: HostConfig | None, timeout_s: float) -> socket.socket:
    """Try each address of a host in turn, from where the configuration says, as ssh does."""
    family = FAMILIES.get(config.address_family, socket.AF_UNSPEC) if config else socket.AF_UNSPEC
    found = socket.getaddrinfo(endpoint.host, endpoint.port, family, socket.SOCK_STREAM)
    failed: Exception | None = None
    for family, kind, _, _, address in found:
        try:
            source = _source_of(config, family) if config else None
            return _open(family, kind, source, address, timeout_s)
        except (OSError, UnreachableError) as err:  # noqa: PERF203 - each is tried in turn
            # One that could not be tried says less than one that did not answer.
            failed = failed if failed and isinstance(err, UnreachableError) else err
    raise failed or socket.gaierror(f"{endpoint.host}: no address")


def _open(
    family: int, kind: int, source: tuple[Any, ...] | None, address: Any, timeout_s: float
) -> socket.socket:
    with contextlib.ExitStack() as on_error:
        sock = on_error.enter_context(socket.socket(family, kind))
        sock.settimeout(timeout_s)
        if source:
            sock.bind(source)
        sock.connect(address)
        on_error.pop_all()
    return sock


def _source_of(config: HostConfig, family: int) -> tuple[Any, ...] | None:
    """Return the address of this machine that the connection is to come from; None for any.

    Raises:
        UnreachableError: this machine has none of this family there.
    """
    bound = config.bind_address
    if not bound:
        return address_of(config.bind_interface, family) if config.bind_interface else None
    try:
        return socket.getaddrinfo(bound, 0, family, socket.SOCK_STREAM)[0][4]
    except socket.gaierror as err:
        version = "IPv6" if family == socket.AF_INET6 else "IPv4"
        raise UnreachableError(
            f"BindAddress {safe(bound, 100)}: no {version} address, which the host has",
            "correct it, or name an interface by BindInterface",
        ) from err
