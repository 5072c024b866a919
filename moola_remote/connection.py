"""`Transport` over one Fabric connection: commands and transfers are channels on it."""

from __future__ import annotations

import contextlib
import logging
import shlex
import threading
import time
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from moola_remote import bridge, rsync
from moola_remote.errors import TransferError, UnreachableError
from moola_remote.screen import safe
from moola_remote.transport import MAX_OUTPUT, Completed, Progress

if TYPE_CHECKING:
    import fabric
    import paramiko

    from moola_remote.dial import ListeningSocket

logger = logging.getLogger(__name__)

KEEPALIVE_S = 5.0
KEEPALIVE_MISSED = 3
BLOCK = 1 << 16
STDERR_KEPT = 1 << 16


class _SilenceError(UnreachableError):
    """A deadline has passed."""


class FabricTransport:
    """`Transport` over one Fabric connection, with a heartbeat: 15 s of silence end it."""

    def __init__(self, where: str, connection: fabric.Connection, sock: ListeningSocket) -> None:
        self._where = where
        self._connection = connection
        self._sock = sock
        self._ssh: paramiko.Transport = connection.transport
        self._silent = False
        self._closed = threading.Event()
        threading.Thread(target=self._heartbeat, name="moola-heartbeat", daemon=True).start()

    def _heartbeat(self) -> None:
        # paramiko's own keepalive asks for no reply, so it never notices a dead peer.
        asker = None
        while not self._closed.wait(KEEPALIVE_S) and self._ssh.is_active():
            if time.monotonic() - self._sock.heard_at > KEEPALIVE_S * KEEPALIVE_MISSED:
                self._silent = True
                self._ssh.close()
                return
            if asker is None or not asker.is_alive():
                asker = threading.Thread(target=self._ask, daemon=True)
                asker.start()

    def _ask(self) -> None:
        import paramiko

        # The connection may go while we ask.
        with contextlib.suppress(EOFError, OSError, paramiko.SSHException):
            self._ssh.global_request("keepalive@openssh.com")

    def lost(self) -> UnreachableError:
        """Why the connection is gone."""
        if self._silent:
            silence_s = KEEPALIVE_S * KEEPALIVE_MISSED
            return UnreachableError(f"{self._where}: given up, nothing heard for {silence_s:.0f} s")
        return UnreachableError(f"{self._where}: connection lost")

    def silence(self, timeout_s: float | None) -> _SilenceError:
        """What to say when a deadline has passed."""
        return _SilenceError(f"{self._where}: no answer within {timeout_s or 0:.0f} s")

    def is_lost(self) -> bool:
        """Whether the connection is gone."""
        # When paramiko's thread closes the channels it has not yet said that it is going.
        self._ssh.join(0.2)
        return not self._ssh.is_active()

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60.0) -> Completed:
        """See `Transport.run`."""
        deadline = time.monotonic() + timeout_s
        channel = self.open(argv)
        feeder = threading.Thread(target=channel.feed, args=(stdin,), daemon=True)
        feeder.start()
        try:
            stdout = bytearray()
            while part := channel.read(BLOCK, _left(deadline)):
                stdout += part
                if len(stdout) > MAX_OUTPUT:
                    raise TransferError(
                        f"{self._where}: {argv[0]} printed more than {MAX_OUTPUT} bytes"
                    )
            code = channel.returncode(_left(deadline))
            return Completed(code, bytes(stdout), channel.stderr())
        except _SilenceError as err:
            raise UnreachableError(
                f"{self._where}: {argv[0]} did not end within {timeout_s:.0f} s"
            ) from err
        finally:
            channel.close()

    def open(self, argv: Sequence[str]) -> FabricChannel:
        """See `Transport.open`."""
        return FabricChannel(self, self.start(shlex.join(argv)))

    def start(self, command: str) -> paramiko.Channel:
        """A channel on which `command` runs."""
        import paramiko

        try:
            channel = self._ssh.open_session()
            channel.exec_command(command)
        except (paramiko.SSHException, OSError, EOFError) as err:
            if self.is_lost():
                raise self.lost() from err
            raise UnreachableError(
                f"{self._where}: the pod starts no command, {safe(str(err))}"
            ) from err
        return channel

    def push(
        self,
        source: Path,
        dest: PurePosixPath,
        *,
        files: Sequence[str] | None = None,
        link_dest: PurePosixPath | None = None,
        compare_content: bool = False,
        progress: Progress | None = None,
    ) -> int:
        """See `Transport.push`."""
        argv = rsync.push_argv(
            source,
            dest,
            rsh=bridge.RSH,
            from_list=files is not None,
            link_dest=link_dest,
            compare_content=compare_content,
        )
        return self._rsync(
            argv, files or (), bridge.Rsync(self.start, f"{self._where}:{dest}", progress=progress)
        )

    def pull(
        self,
        source: PurePosixPath,
        dest: Path,
        *,
        files: Sequence[str],
        max_file: int,
        max_bytes: int,
        progress: Progress | None = None,
    ) -> int:
        """See `Transport.pull`."""
        argv = rsync.pull_argv(source, dest, rsh=bridge.RSH, max_file=max_file)
        job = bridge.Rsync(
            self.start, f"{self._where}:{source}", progress=progress, max_bytes=max_bytes
        )
        return self._rsync(argv, files, job)

    def _rsync(self, argv: list[str], files: Sequence[str], job: bridge.Rsync) -> int:
        started = time.monotonic()
        # Without "./" rsync takes a name that begins with # or ; for a comment.
        names = b"".join(b"./" + name.encode() + b"\0" for name in files)
        code, sent, stderr = job.run(argv, names)
        if code != 0:
            raise self.lost() if self.is_lost() else rsync.failure(job.where, code, stderr)
        logger.info("%s: %d bytes in %.0f ms", job.where, sent, 1000 * (time.monotonic() - started))
        return sent

    def close(self) -> None:
        """See `Transport.close`."""
        self._closed.set()
        self._connection.close()
        self._sock.close()


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.001)


class FabricChannel:
    """`Channel` over one paramiko channel."""

    def __init__(self, transport: FabricTransport, channel: paramiko.Channel) -> None:
        self._transport = transport
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
            raise self._transport.silence(timeout_s) from err
        except (OSError, EOFError) as err:
            raise self._transport.lost() from err
        # A lost connection ends the stream too, but then nobody has sent an EOF. Some servers
        # close a channel without one.
        if not data and not self._channel.eof_received and self._transport.is_lost():
            raise self._transport.lost()
        return data

    def write(self, data: bytes) -> None:
        """See `Channel.write`."""
        try:
            self._channel.sendall(data)
        except TimeoutError as err:
            raise self._transport.silence(self._channel.gettimeout()) from err
        except (OSError, EOFError) as err:
            if self._transport.is_lost():
                raise self._transport.lost() from err
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
            raise self._transport.silence(timeout_s)
        code = self._channel.exit_status
        if code == -1 and self._transport.is_lost():
            raise self._transport.lost()
        return code

    def stderr(self) -> bytes:
        """See `Channel.stderr`."""
        if self._channel.eof_received:
            self._drain.join()
        return self._stderr

    def close(self) -> None:
        """See `Channel.close`."""
        with contextlib.suppress(OSError, EOFError):  # the connection went first
            self._channel.close()
