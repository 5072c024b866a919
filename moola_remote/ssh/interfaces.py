"""The address of a network interface of this machine, as ssh's ``BindInterface`` means it."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import sys

from moola_remote.errors import UnreachableError
from moola_remote.text.sanitize import safe

# Of Linux's <linux/sockios.h>, and where its `struct ifreq` has an IPv4 address.
SIOCGIFADDR = 0x8915
NAME_BYTES, ADDRESS = 15, slice(20, 24)


def address_of(interface: str) -> str:
    """Return its IPv4 address.

    Raises:
        UnreachableError: it has none, or this machine can't say.
    """
    asked = struct.pack("256s", interface.encode()[:NAME_BYTES])
    if sys.platform == "linux":
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket,
        ):
            return socket.inet_ntoa(fcntl.ioctl(any_socket, SIOCGIFADDR, asked)[ADDRESS])
    raise UnreachableError(
        f"BindInterface {safe(interface, 100)}: no IPv4 address of it is found on this machine",
        "connect the network that it belongs to, or name an address by BindAddress",
    )
