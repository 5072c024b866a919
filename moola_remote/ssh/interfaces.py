"""The address of a network interface of this machine, as ssh's ``BindInterface`` means it."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import sys
from pathlib import Path

from moola_remote.errors import UnreachableError
from moola_remote.text.sanitize import safe

# Of Linux's <linux/sockios.h>, and where its `struct ifreq` has an IPv4 address.
SIOCGIFADDR = 0x8915
NAME_BYTES, ADDRESS = 15, slice(20, 24)
# A row an address: hexadecimal address, interface's number, prefix, scope, flags, interface.
IPV6_TABLE = Path("/proc/net/if_inet6")
GLOBAL = 0  # scope of an address that is valid everywhere


def address_of(interface: str, family: int = socket.AF_INET) -> tuple[str | int, ...]:
    """Return its address of a family, as `socket.bind` takes it.

    Raises:
        UnreachableError: it has none, or this machine can't say.
    """
    find = _ipv6_of if family == socket.AF_INET6 else _ipv4_of
    with contextlib.suppress(OSError):
        if sys.platform == "linux" and (found := find(interface)):
            return found
    version = "IPv6" if family == socket.AF_INET6 else "IPv4"
    raise UnreachableError(
        f"BindInterface {safe(interface, 100)}: no {version} address of it is found on this"
        " machine",
        "connect the network that it belongs to, or name an address by BindAddress",
    )


def _ipv4_of(interface: str) -> tuple[str, int]:
    asked = struct.pack("256s", interface.encode()[:NAME_BYTES])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer: bytes = fcntl.ioctl(any_socket, SIOCGIFADDR, asked)
    return socket.inet_ntoa(answer[ADDRESS]), 0


def _ipv6_of(interface: str) -> tuple[str | int, ...] | None:
    """Return a global address before one of the link or of the machine, as OpenSSH does."""
    rows = (row.split() for row in IPV6_TABLE.read_text(encoding="ascii").splitlines())
    ours = [row for row in rows if row[5] == interface]
    if not ours:
        return None
    packed, index, _, scope, *_ = min(ours, key=lambda row: int(row[3], 16) != GLOBAL)
    scope_id = 0 if int(scope, 16) == GLOBAL else int(index, 16)
    return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(packed)), 0, 0, scope_id
