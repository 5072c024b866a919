"""One OpenSSH connection to a pod that stays for some minutes: a control master, and its socket.

A command that finds it neither imports paramiko nor authenticates. OpenSSH's client is the one that
connects, and our pin its only judge: nothing of the user's configuration adds a key that it would
take. Where that can't be granted (first contact, a jump host, a pin that is in question), or
OpenSSH can't log in without a question, `find` returns None, and paramiko connects as ever.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from moola_remote.errors import UnreachableError
from moola_remote.ssh import mux
from moola_remote.ssh.endpoint import place
from moola_remote.ssh.host_key_options import pin_options
from moola_remote.ssh.keeping import NAME_LENGTH
from moola_remote.ssh.keys import USUAL_KEYS, KeySource
from moola_remote.ssh.link import LinkGoneError, SessionRefusedError
from moola_remote.ssh.liveness import KEEPALIVE_MISSED, KEEPALIVE_S, SilenceError, Vitals
from moola_remote.ssh.tcp import no_answer
from moola_remote.ssh.user_config import HostConfig
from moola_remote.ssh.user_known_hosts import read_known_hosts
from moola_remote.text.sanitize import safe

if TYPE_CHECKING:
    from moola_remote.ssh.endpoint import Endpoint
    from moola_remote.ssh.hostkeys import KnownHosts
    from moola_remote.ssh.keeping import Keeping

logger = logging.getLogger(__name__)
LOGIN_TIMEOUT_S = 30.0
# How long a login that OpenSSH could not do is not tried again.
UNABLE_S = 600.0
# Before what the user's configuration has: the first value of each counts.
OPTIONS = (
    *("BatchMode=yes", "ControlMaster=yes", "ConnectionAttempts=1", "LogLevel=ERROR"),
    # Options that a user may want for a shell, but that must not reach a pod.
    *("ForwardAgent=no", "ForwardX11=no", "ClearAllForwardings=yes", "Tunnel=no"),
    *("PermitLocalCommand=no", "RemoteCommand=none", "RequestTTY=no"),
)


class Master:
    """The connection to one endpoint, as one pin has it.

    Args:
        endpoint: where it leads.
        config: how OpenSSH reaches it.
        pins: the file that OpenSSH checks the host key by.
        pin: the key that it has of the endpoint.
        keep: how it stays open.
        source: where its keys are.
        timeout_s: for the TCP connection.
    """

    def __init__(  # noqa: PLR0913 - each has its own source
        self,
        endpoint: Endpoint,
        config: HostConfig,
        pins: KnownHosts,
        pin: bytes,
        keep: Keeping,
        source: KeySource,
        timeout_s: float,
    ) -> None:
        name = pins.name_of(endpoint)
        way = (endpoint.host, endpoint.port, endpoint.user, endpoint.identity_file, config)
        known = (name, pin, pins.path, keep.seconds)
        digest = hashlib.sha256(repr((way, known)).encode()).hexdigest()
        self._where = place(endpoint)
        self._timeout_s = timeout_s
        self._keep = keep
        self.path = keep.folder / digest[:NAME_LENGTH]
        self._unable = self.path.with_suffix(".unable")
        # As our HOME has them; OpenSSH takes the account's.
        files = [path for path in config.identity_files if path.is_file()]
        keys = [endpoint.identity_file] if endpoint.identity_file else files
        alive = () if config.alive else _heartbeat()
        self._argv = [
            *("ssh", "-N", "-f", "-T", "-S", str(self.path)),
            *(word for option in (*OPTIONS, *alive) for word in ("-o", option)),
            *("-o", f"ControlPersist={keep.seconds}"),
            *("-o", f"ConnectTimeout={max(round(timeout_s), 1)}"),
            *pin_options(pins.path, name),
            *(word for path in keys for word in ("-i", str(path))),
            *(("-o", "IdentitiesOnly=yes") if endpoint.identity_file else ()),
            *(("-o", "IdentityAgent=none") if source.agent is None else ()),
            *config.arguments,
            *("--", config.host),
        ]

    def is_able(self) -> bool:
        """Return False for a while after a login that OpenSSH could not do."""
        try:
            return time.time() - self._unable.stat().st_mtime > UNABLE_S
        except OSError:
            return True

    def _note_unable(self) -> None:
        """Leave it to paramiko for a while: another login that fails may be one too many."""
        with contextlib.suppress(OSError):
            for path in self._unable.parent.glob("*.unable"):
                if time.time() - path.stat().st_mtime > UNABLE_S:
                    path.unlink(missing_ok=True)
            self._unable.touch()

    def open(self) -> MasterLink | None:
        """Return the connection, which is made if need be; None where OpenSSH can't.

        Raises:
            UnreachableError: the pod does not answer.
        """
        pid = mux.alive_pid(self.path)
        if pid is None and not self._start():
            return None
        pid = pid or mux.alive_pid(self.path)
        return MasterLink(self._where, self.path, pid) if pid else None

    def _start(self) -> bool:
        # A name's first letter, so that the folder never has more than 16 of them.
        lock_path = self._keep.folder / f"lock-{self.path.name[0]}"
        with lock_path.open("w") as lock, tempfile.TemporaryFile() as said:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if mux.alive_pid(self.path) is not None:  # another command was quicker
                return True
            self.path.unlink(missing_ok=True)
            started = time.monotonic()
            try:
                code = self._log_in(lock.fileno(), said)
            except (OSError, subprocess.TimeoutExpired) as err:
                logger.info("%s: OpenSSH makes no connection, %s", self._where, err)
                self._note_unable()
                return False
            took_ms = 1000 * (time.monotonic() - started)
            said.seek(0)
            words = safe(said.read(4096).decode("utf-8", "replace").strip(), 300)
        if code == 0:
            logger.info("%s: OpenSSH connected in %.0f ms", self._where, took_ms)
            return True
        logger.info("%s: OpenSSH makes no connection: %s", self._where, words)
        if "Connection timed out" in words and took_ms > 900 * self._timeout_s:
            raise no_answer(self._where, self._timeout_s)
        if "Connection " not in words:  # of the network, it may be over at the next try
            self._note_unable()
        return False

    def _log_in(self, lock: int, said: IO[bytes]) -> int:
        """Have OpenSSH log in and go into the background; return its exit code.

        A shell holds the lock until then, also where this process is killed. Of two masters that
        log in at once the second finds the socket of the first, and stays for good without one.
        """
        process = subprocess.Popen(
            ["sh", "-c", '"$@"; exit $?', "sh", *self._argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            pass_fds=[lock],
            start_new_session=True,  # an interrupt of this command is not for the next
        )
        try:
            return process.wait(LOGIN_TIMEOUT_S)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise


class MasterLink:
    """`Link` over the connection of a master; closing it leaves the master to the next command.

    Args:
        where: the pod, as errors name it.
        path: of the master's socket.
        pid: of the master: another one at the same path has another connection.
    """

    def __init__(self, where: str, path: Path, pid: int) -> None:
        self._where = where
        self._path = path
        self._pid = pid
        self._channels: list[mux.MuxChannel] = []
        self._lock = threading.Lock()
        self._closed = False

    @property
    def vitals(self) -> Vitals:
        """See `Link.vitals`."""
        return self

    def session(self, command: str) -> Any:
        """See `Link.session`."""
        if self._closed:
            raise LinkGoneError("closed")
        try:
            return self._kept(mux.open_session(self._path, command, self.is_lost))
        except LinkGoneError:
            # Its connection may be dead, which it has not noticed: the next makes its own.
            if mux.alive_pid(self._path) == self._pid:
                mux.stop_listening(self._path)
            raise

    def channel_to(self, target: tuple[str, int], caller: tuple[str, int]) -> Any:  # noqa: ARG002
        """See `Link.channel_to`."""
        try:
            return self._kept(mux.open_forward(self._path, target, self.is_lost))
        except (SessionRefusedError, OSError) as err:
            raise UnreachableError(str(err)) from err

    def _kept(self, channel: mux.MuxChannel) -> mux.MuxChannel:
        with self._lock:
            self._channels = [one for one in self._channels if not one.is_closed]
            self._channels.append(channel)
        return channel

    def lost(self) -> UnreachableError:
        """See `Vitals.lost`."""
        return UnreachableError(f"{self._where}: connection lost")

    def silence(self, timeout_s: float | None) -> SilenceError:
        """See `Vitals.silence`."""
        return SilenceError(f"{self._where}: no answer within {timeout_s or 0:.0f} s")

    def is_lost(self) -> bool:
        """See `Vitals.is_lost`."""
        return not self.is_active()

    def is_active(self) -> bool:
        """See `Link.is_active`."""
        return not self._closed and mux.alive_pid(self._path) == self._pid

    def close(self) -> None:
        """See `Link.close`."""
        self._closed = True
        with self._lock:
            for channel in self._channels:
                channel.close()
            self._channels.clear()


def _heartbeat() -> tuple[str, ...]:
    # OpenSSH gives up with the one after the last that may be missed.
    every_s, missed = max(round(KEEPALIVE_S), 1), KEEPALIVE_MISSED - 1
    return (f"ServerAliveInterval={every_s}", f"ServerAliveCountMax={missed}")


def _past_all_files(endpoint: Endpoint) -> HostConfig:
    """Return the configuration of a host that none of the user's files is about."""
    host, port, user = endpoint.host, endpoint.port, endpoint.user
    arguments = ("-F", "none", "-p", str(port), "-l", user)
    return HostConfig(host, arguments, hostname=host, port=port, user=user)


def find(endpoint: Endpoint, pins: KnownHosts, keep: Keeping, *, timeout_s: float) -> Master | None:
    """Return the master for `endpoint`; None where paramiko has to connect.

    Raises:
        ConfigError: the identity file is missing, readable by others, or no private key.
    """
    config = endpoint.host_config or _past_all_files(endpoint)
    if config.jumps or config.known_hosts_command:
        return None
    source = KeySource.of(endpoint)  # a fault of the key that the pod's file names is an error
    others = {path for path in config.identity_files if path.name not in USUAL_KEYS}
    if endpoint.identity_file and any(path.is_file() for path in others - {endpoint.identity_file}):
        return None  # OpenSSH would offer them, too
    pin = pins.settled(endpoint)
    if pin is None or pin in read_known_hosts(config, pin).revoked:
        return None
    master = Master(endpoint, config, pins, pin, keep, source, timeout_s)
    return master if master.is_able() else None
