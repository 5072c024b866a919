"""`Transport` over one Fabric connection: commands and transfers are channels on it."""

from __future__ import annotations

import logging
import os
import shlex
import threading
import time
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from moola_remote.errors import TransferError, UnreachableError
from moola_remote.rsync import argv, output, process, tunnel
from moola_remote.ssh.channel import BLOCK, FabricChannel
from moola_remote.ssh.liveness import Liveness, SilenceError
from moola_remote.ssh.transport import MAX_OUTPUT, Completed, Progress
from moola_remote.text.sanitize import safe

if TYPE_CHECKING:
    import fabric
    import paramiko

    from moola_remote.ssh.socket import ReadAheadSocket
logger = logging.getLogger(__name__)


class FabricTransport:
    """`Transport` over one Fabric connection, with a heartbeat: 15 s of silence end it."""

    def __init__(self, where: str, connection: fabric.Connection, sock: ReadAheadSocket) -> None:
        self._where = where
        self._connection = connection
        self._sock = sock
        self._ssh: paramiko.Transport = connection.transport
        self._liveness = Liveness(where, self._ssh, sock)

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
        except SilenceError as err:
            raise UnreachableError(
                f"{self._where}: {argv[0]} did not end within {timeout_s:.0f} s"
            ) from err
        finally:
            channel.close()

    def open(self, argv: Sequence[str]) -> FabricChannel:
        """See `Transport.open`."""
        return FabricChannel(self._liveness, self.start(shlex.join(argv)))

    def start(self, command: str) -> paramiko.Channel:
        """A channel on which `command` runs."""
        import paramiko

        try:
            channel = self._ssh.open_session()
            channel.exec_command(command)
        except (paramiko.SSHException, OSError, EOFError) as err:
            if self._liveness.is_lost():
                raise self._liveness.lost() from err
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
        words = argv.push_argv(
            source,
            dest,
            rsh=tunnel.RSH,
            from_list=files is not None,
            link_dest=link_dest,
            compare_content=compare_content,
        )
        return self._rsync(
            words,
            files or (),
            process.Rsync(self.start, f"{self._where}:{dest}", progress=progress),
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
        words = argv.pull_argv(source, dest, rsh=tunnel.RSH, max_file=max_file)
        job = process.Rsync(
            self.start, f"{self._where}:{source}", progress=progress, max_bytes=max_bytes
        )
        return self._rsync(words, files, job)

    def _rsync(self, argv: list[str], files: Sequence[str], job: process.Rsync) -> int:
        started = time.monotonic()
        # Without "./" rsync takes a name that begins with # or ; for a comment.
        names = b"".join(b"./" + os.fsencode(name) + b"\0" for name in files)
        code, sent, stderr = job.run(argv, names)
        if code != 0:
            if self._liveness.is_lost():
                raise self._liveness.lost()
            raise output.failure(job.where, code, stderr)
        logger.info("%s: %d bytes in %.0f ms", job.where, sent, 1000 * (time.monotonic() - started))
        return sent

    def close(self) -> None:
        """See `Transport.close`."""
        self._liveness.stop()
        self._connection.close()
        self._sock.close()


def _left(deadline: float) -> float:
    return max(deadline - time.monotonic(), 0.001)
