"""A security key in software, behind an agent: what a FIDO device answers to OpenSSH.

PROTOCOL.u2f of OpenSSH: a signature is over SHA256(application), flags, counter, SHA256(data).
"""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import struct
import threading
from pathlib import Path
from types import TracebackType

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

TYPE = b"sk-ssh-ed25519@openssh.com"
APPLICATION = b"ssh:"


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


class HardwareAgent:
    """An agent with one such key; listens on `path` within its block."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._key = Ed25519PrivateKey.generate()
        raw = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public = _string(TYPE) + _string(raw) + _string(APPLICATION)
        self.public_line = f"{TYPE.decode()} {base64.b64encode(self.public).decode()} device"

    def __enter__(self) -> HardwareAgent:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, at: TracebackType | None
    ) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn: socket.socket) -> None:
        with conn, conn.makefile("rb") as stream:
            while head := stream.read(4):
                request = stream.read(struct.unpack(">I", head)[0])
                conn.sendall(_string(self._answer(request)))

    def _answer(self, request: bytes) -> bytes:
        if request[0] == 11:  # SSH_AGENTC_REQUEST_IDENTITIES
            return b"\x0c" + struct.pack(">I", 1) + _string(self.public) + _string(b"device")
        if request[0] != 13:  # SSH_AGENTC_SIGN_REQUEST
            return b"\x05"
        at = 5 + struct.unpack(">I", request[1:5])[0]
        size = struct.unpack(">I", request[at : at + 4])[0]
        data = request[at + 4 : at + 4 + size]
        flags = b"\x01" + struct.pack(">I", 7)  # touched; the counter
        digests = [hashlib.sha256(part).digest() for part in (APPLICATION, data)]
        signature = self._key.sign(digests[0] + flags + digests[1])
        return b"\x0e" + _string(_string(TYPE) + _string(signature) + flags)


def hardware_key_file(path: Path, device: HardwareAgent) -> Path:
    """Write what ``ssh-keygen -t ed25519-sk`` writes: a file that holds no secret of its own."""
    check = os.urandom(4) * 2
    private = check + device.public + b"\x01" + _string(b"handle") + _string(b"") + _string(b"me")
    private += bytes(range(1, 1 + -len(private) % 8))
    none = _string(b"none")
    body = b"openssh-key-v1\0" + none + none + _string(b"") + struct.pack(">I", 1)
    text = base64.encodebytes(body + _string(device.public) + _string(private)).decode()
    frame = "-----{} OPENSSH PRIVATE KEY-----\n"
    path.write_text(frame.format("BEGIN") + text + frame.format("END"))
    path.chmod(0o600)
    path.with_name(f"{path.name}.pub").write_text(device.public_line)
    return path
