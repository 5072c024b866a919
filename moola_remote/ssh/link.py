"""What carries the sessions of a transport: a connection of paramiko's, or OpenSSH's master."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from moola_remote.errors import UnreachableError
from moola_remote.ssh.liveness import Liveness, Vitals

if TYPE_CHECKING:
    import paramiko

    from moola_remote.ssh.connection import Connection
    from moola_remote.ssh.socket import ReadAheadSocket
# For a channel to a port of the pod: the SSH server connects to that port before it answers.
OPEN_TIMEOUT_S = 20.0


class SessionRefusedError(Exception):
    """The server starts no further command on this connection."""


class LinkError(OSError):
    """The connection failed."""


class LinkGoneError(LinkError):
    """The connection ended before the command was sent, so another may carry it."""


class Link(Protocol):
    """A connection that commands are started on. Safe for several threads."""

    @property
    def vitals(self) -> Vitals:
        """Whether it still lives."""
        ...

    def session(self, command: str) -> Any:
        """Start a command; its channel has the methods of paramiko's.

        Raises:
            SessionRefusedError: the server allows no further one.
            LinkError: the connection failed.
        """
        ...

    def channel_to(self, target: tuple[str, int], caller: tuple[str, int]) -> Any:
        """Return a channel to a host and port as the pod sees them.

        Raises:
            UnreachableError: nothing answers there, or it is forbidden.
        """
        ...

    def is_active(self) -> bool:
        """Return whether commands can be started."""
        ...

    def close(self) -> None:
        """Let go of it and of its channels; twice does no harm."""
        ...


class ParamikoLink:
    """`Link` over a connection of our own, with a heartbeat.

    Args:
        where: the pod, as errors name it.
        connection: open and authenticated.
        sock: below it.
        alive: of `Liveness`.
    """

    def __init__(
        self,
        where: str,
        connection: Connection,
        sock: ReadAheadSocket,
        alive: tuple[float, int] | None = None,
    ) -> None:
        self._connection = connection
        self._sock = sock
        self._ssh: paramiko.Transport = connection.transport
        self._liveness = Liveness(where, self._ssh, sock, alive)

    @property
    def vitals(self) -> Vitals:
        """See `Link.vitals`."""
        return self._liveness

    def session(self, command: str) -> Any:
        """See `Link.session`."""
        import paramiko

        try:
            channel = self._ssh.open_session()
            channel.exec_command(command)
        except paramiko.ChannelException as err:
            raise SessionRefusedError(err.text) from err
        except (paramiko.SSHException, EOFError) as err:
            raise LinkError(str(err)) from err
        return channel

    def channel_to(self, target: tuple[str, int], caller: tuple[str, int]) -> Any:
        """See `Link.channel_to`."""
        import paramiko

        try:
            return self._ssh.open_channel("direct-tcpip", target, caller, timeout=OPEN_TIMEOUT_S)
        except (paramiko.SSHException, OSError, EOFError) as err:
            raise UnreachableError(str(err)) from err

    def is_active(self) -> bool:
        """See `Link.is_active`."""
        return self._ssh.is_active()

    def close(self) -> None:
        """See `Link.close`."""
        self._liveness.stop()
        self._connection.close()
        self._sock.close()
