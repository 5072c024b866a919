"""The embedded pod: an SSH server on 127.0.0.1, run as the user, started when it is needed."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import moola_remote
from moola_remote.config.paths import LaptopPaths
from moola_remote.config.settings import base_of
from moola_remote.errors import ConfigError, UnreachableError, missing_package
from moola_remote.files.disk import full_disk, is_without_room, unwritable
from moola_remote.providers.base import Confirm, PodStatus, Say, decline, quiet
from moola_remote.providers.local.state import VERSION, LocalPodFolder, PodRecord
from moola_remote.ssh.endpoint import Endpoint

if TYPE_CHECKING:
    from moola_remote.config.settings import PodConfig
START_LIMIT_S = 30.0
STOP_LIMIT_S = 5.0
_OURS_TO_CHOOSE = {
    "host",
    "port",
    "user",
    "identity_file",
    "host_key",
    "root",
    "python",
    "private_host",
}


@dataclass(frozen=True)
class LocalProvider:
    """The pod of a file with ``provider: local``; each number has one in a state folder."""

    is_paid: ClassVar[bool] = False
    name: str
    folder: LocalPodFolder
    price_per_hour: float | None = None

    @classmethod
    def of(cls, pod: PodConfig) -> LocalProvider:
        """Return the provider of `pod`.

        Raises:
            ConfigError: a key that the local pod chooses by itself.
        """
        chosen = sorted(_OURS_TO_CHOOSE & pod.given)
        if chosen:
            raise ConfigError(
                f"configs/pods/{pod.name}.yaml: {chosen[0]}: chosen by the local pod itself, "
                "expected no such key",
                "remove the line, or write provider: ssh",
            )
        laptop = LaptopPaths.of_user()
        number = pod.name[len(base_of(pod.name)) + 1 :]
        path = laptop.numbered_local_pod(number) if number else laptop.local_pod
        return cls(pod.name, LocalPodFolder(path), pod.price_per_hour)

    def up(self, *, say: Say = quiet, confirm: Confirm = decline) -> Endpoint:  # noqa: ARG002
        """Start the server, or find the one that runs; two at once start one.

        Raises:
            UnreachableError: it didn't start.
        """
        record = self.folder.running()
        if record and record.version != VERSION:
            self.stop()
            record = None
        return self._endpoint(record or self._start())

    def endpoint(self) -> Endpoint:
        """Return where the server is.

        Raises:
            UnreachableError: it is not up.
        """
        record = self.folder.running()
        if not record:
            raise UnreachableError(
                f"pod {self.name}: not running", f"moola-remote --pod {self.name} up"
            )
        return self._endpoint(record)

    def stop(self) -> None:
        """End the server; what it started lives on, as under any SSH server.

        Raises:
            UnreachableError: it doesn't end, not even when killed.
        """
        record = self.folder.running()
        if not record:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            if _end(record, number):
                return
        raise UnreachableError(
            f"pod {self.name}: server {record.pid} does not end", f"see {self.folder.log}"
        )

    def down(self, *, remove_data: bool) -> None:
        """End the server, and with `remove_data` remove its root, its keys and its log."""
        self.stop()
        if not remove_data or not self.folder.path.exists():
            return
        for path in self.folder.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path != self.folder.lock:
                path.unlink()

    def status(self) -> PodStatus:
        """Return whether the server runs, and where."""
        record = self.folder.running()
        if record:
            detail = f"{record.user}@127.0.0.1:{record.port}, process {record.pid}"
            return PodStatus("up", detail, self._endpoint(record), record.started_at)
        if self.folder.root.exists():
            return PodStatus("stopped", str(self.folder.root))
        return PodStatus("absent", "made by up")

    def _start(self) -> PodRecord:
        if find_spec("asyncssh") is None:
            err = ModuleNotFoundError("asyncssh", name="asyncssh")
            raise (missing_package(err) or err)
        # The program forks: we wait for its first half, which says how the start went.
        # The working folder makes -m find this very package.
        try:
            answer = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "moola_remote.providers.local.sshd",
                    str(self.folder.path.absolute()),
                ],
                cwd=Path(moola_remote.__file__).parent.parent,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=START_LIMIT_S,
                check=False,
            )
            said = answer.stderr.strip()
        except subprocess.TimeoutExpired:
            said = f"no answer in {START_LIMIT_S:.0f} s"
        record = self.folder.running()
        if not record:
            self._check_folder()
            why = said.splitlines()[-1] if said else "ended at once"
            cure = f"see {self.folder.log}"
            if is_without_room(self.folder.path):  # it may have had none to say so
                full = full_disk(OSError(errno.ENOSPC, why, str(self.folder.path)), [])
                why, cure = full.message, full.cure
            raise UnreachableError(f"pod {self.name}: server did not start, {why}", cure)
        return record

    def _check_folder(self) -> None:
        """Raise a LimitError where nothing can be written to the pod's folder."""
        try:
            self.folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder.path):
                pass
        except OSError as err:
            raise unwritable(self.folder.path, err) from err

    def _endpoint(self, record: PodRecord) -> Endpoint:
        return Endpoint(
            name=self.name,
            host="127.0.0.1",
            port=record.port,
            user=record.user,
            identity_file=self.folder.client_key,
            host_key=record.fingerprint,
            known_key=record.host_key,
            root=str(self.folder.root.absolute()),
            python=sys.executable,
            price_per_hour=self.price_per_hour,
            private_host=self._private_host(),
        )

    def _private_host(self) -> str:
        """Return an address of the loopback that is this pod's own, as each number is."""
        number = int(self.name[len(base_of(self.name)) + 1 :] or 1)
        return f"127.0.{number // 200}.{number % 200 + 10}"


def _end(record: PodRecord, number: signal.Signals) -> bool:
    """Signal the server and nothing else, wait, and say whether it has ended."""
    if not record.is_alive():
        return True
    os.kill(record.pid, number)
    deadline = time.monotonic() + STOP_LIMIT_S
    while record.is_alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
