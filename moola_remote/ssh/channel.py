"""One command on the pod: its stdin, stdout, stderr and exit code."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from moola_remote.errors import UnreachableError
from moola_remote.ssh.marks import ShellError

if TYPE_CHECKING:
    from moola_remote.ssh.liveness import Vitals
    from moola_remote.ssh.marks import MarkedChannel
BLOCK = 1 << 16
STDERR_KEPT = 1 << 16
# Behind stdout that nobody reads, the end of stderr does not come.
STDERR_S = 2.0


class SSHChannel:
    """`Channel` over one channel of paramiko's, or of what has its methods."""

    def __init__(self, liveness: Vitals, channel: MarkedChannel) -> None:
        self._liveness = liveness
        self._channel = channel
        self._stderr = b""
        # Unread, it would fill the window that stdout needs too.
        self._drain = threading.Thread(target=self._read_stderr, daemon=True)
        self._drain.start()

    def _read_stderr(self) -> None:
        while True:
            try:
                part = self._channel.recv_stderr(BLOCK)
            except TimeoutError:  # paramiko has one timeout for both streams: stdout's
                continue
            except (OSError, EOFError):
                return
            if not part:
                return
            self._stderr = (self._stderr + part)[-STDERR_KEPT:]

    def read(self, n: int, timeout_s: float | None = None) -> bytes:
        """See `Channel.read`."""
        self._channel.settimeout(timeout_s)
        try:
            data = self._channel.recv(n)
        except TimeoutError as err:
            raise self._liveness.silence(timeout_s) from err
        except (OSError, EOFError) as err:
            raise self._liveness.lost() from err
        except ShellError as err:
            if self._liveness.is_lost():
                raise self._liveness.lost() from err
            raise
        # A lost connection ends the stream too, but then no EOF was sent. Some servers
        # close a channel without one.
        if not data and not self._channel.eof_received and self._liveness.is_lost():
            raise self._liveness.lost()
        return data

    def write(self, data: bytes) -> None:
        """See `Channel.write`."""
        try:
            self._channel.sendall(data)
        except TimeoutError as err:
            raise self._liveness.silence(self._channel.gettimeout()) from err
        except (OSError, EOFError) as err:
            if self._liveness.is_lost():
                raise self._liveness.lost() from err
            raise UnreachableError("the command on the pod has ended and reads no more") from err

    def feed(self, data: bytes) -> None:
        """All of `data` to stdin, then its end; a command need not read it."""
        with contextlib.suppress(UnreachableError):
            self.write(data)
            self.close_stdin()

    def close_stdin(self) -> None:
        """See `Channel.close_stdin`."""
        with contextlib.suppress(OSError, EOFError):
            self._channel.shutdown_write()

    def returncode(self, timeout_s: float | None = None) -> int:
        """See `Channel.returncode`."""
        if not self._channel.status_event.wait(timeout_s):
            raise self._liveness.silence(timeout_s)
        code: int = self._channel.exit_status
        if code == -1 and self._liveness.is_lost():
            raise self._liveness.lost()
        return code

    def stderr(self) -> bytes:
        """See `Channel.stderr`."""
        if self._channel.eof_received:
            self._drain.join(STDERR_S)
        return self._stderr

    def close(self) -> None:
        """See `Channel.close`."""
        with contextlib.suppress(OSError, EOFError):  # the connection went first
            self._channel.close()
