"""Read a small file of the pod whole."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from moola_remote.errors import TransferError
from moola_remote.protocol import refusal

if TYPE_CHECKING:
    from moola_remote.ssh.transport import Transport
READ_TIMEOUT_S = 60.0


def read_file(transport: Transport, path: PurePosixPath, limit: int) -> bytes:
    """Return a small file of the pod.

    Raises:
        TransferError: it is not there, or has more than `limit` bytes.
    """
    channel = transport.open(["cat", "--", str(path)])
    try:
        content = bytearray()
        while part := channel.read(1 << 16, READ_TIMEOUT_S):
            content += part
            if len(content) > limit:
                raise TransferError(f"{path}: larger than {limit} bytes")
        if channel.returncode(READ_TIMEOUT_S) != 0:
            said = refusal.last_words(channel.stderr())
            raise TransferError(f"{path}: can't be read on the pod, {said}")
        return bytes(content)
    finally:
        channel.close()
