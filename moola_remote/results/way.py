"""From a run's folder on the pod to the folder of fetched runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from moola_remote.errors import TransferError
from moola_remote.files import atomic
from moola_remote.files.hashing import HashCache

if TYPE_CHECKING:
    from moola_remote.agent_client.client import Agent
    from moola_remote.config.paths import RunPaths
    from moola_remote.ssh.transport import Transport


class Way(NamedTuple):
    """From a run's folder on the pod to the folder of fetched runs."""

    transport: Transport
    agent: Agent
    run_id: str
    dest_root: Path
    hashes: HashCache

    @property
    def far(self) -> RunPaths:
        """The run's folder on the pod."""
        return self.agent.folder.run(self.run_id)

    @property
    def final(self) -> Path:
        """The run's folder; where the user has a link to a folder there, that one.

        Raises:
            TransferError: something else lies there.
        """
        path = self.dest_root / self.run_id
        if not path.is_dir() and os.path.lexists(path):
            raise TransferError(f"{path}: expected a folder", "move it away, then fetch again")
        return path.resolve() if path.is_symlink() else path

    def read(self, name: str) -> bytes:
        """Return a file that we wrote beside those of the run; nothing where there is none."""
        try:
            return (self.final / name).read_bytes()
        except OSError:
            return b""

    def write(self, beside: Mapping[str, bytes]) -> None:
        """Write files of our own beside those of the run, by name, where they are others."""
        for name, content in beside.items():
            if self.read(name) != content:
                atomic.write(self.final / name, content)
