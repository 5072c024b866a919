"""One SSH connection: paramiko's client, and what it is to be opened with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import paramiko


class Connection:
    """A connection that is opened once, when the host key's judge is in place.

    Args:
        host: as errors of paramiko name it; `options` have the socket.
        port: likewise.
        user: who logs in.
        timeout_s: of each step that `options` have no limit for.
        options: further ones of paramiko's ``SSHClient.connect``.
    """

    def __init__(
        self, host: str, *, port: int, user: str, timeout_s: float, **options: Any
    ) -> None:
        import paramiko

        self.client = paramiko.SSHClient()
        self._host = host
        # The limits of banner and login come first, and say which of them it was.
        self._options = {"port": port, "username": user, "timeout": 2 * timeout_s, **options}

    def open(self) -> None:
        """Authenticate; the errors are paramiko's."""
        self.client.connect(self._host, **self._options)

    @property
    def transport(self) -> paramiko.Transport:
        """What channels are opened on."""
        transport = self.client.get_transport()
        assert transport is not None, "not open yet"
        return transport

    def close(self) -> None:
        """Close it; twice does no harm."""
        self.client.close()
