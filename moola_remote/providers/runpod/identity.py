"""The keys of a rented pod: the laptop's key pair, and the host key in the pod's log."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from moola_remote.config.paths import LaptopPaths
from moola_remote.errors import ConfigError
from moola_remote.files import atomic
from moola_remote.providers.runpod import log_lines
from moola_remote.ssh.hostkeys import KnownHosts

if TYPE_CHECKING:
    from moola_remote.config.settings import PodConfig
    from moola_remote.providers.runpod.client import RunpodClient
    from moola_remote.providers.runpod.models import Pod


@dataclass(frozen=True)
class Identity:
    """The keys of one pod's file.

    Attributes:
        pod: the settings of the pod.
        laptop: where the keys are kept.
    """

    pod: PodConfig
    laptop: LaptopPaths

    @property
    def _seen(self) -> Path:
        return self.laptop.runpod / f"{self.pod.name}.json"

    def host_key(self, pod: Pod, client: RunpodClient, *, is_fresh: bool) -> str | None:
        """Return the fingerprint of this very start of the pod, by its log, which comes over TLS.

        Args:
            pod: as the API describes it.
            client: the API, for the log.
            is_fresh: the log is read even if this start is known.
        """
        start = f"{pod.id} {pod.started_at}"
        try:
            seen = json.loads(self._seen.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            seen = {}
        if not isinstance(seen, dict):
            seen = {}
        is_known = seen.get("start") == start
        if is_known and not is_fresh:
            known = seen.get("host_key")
            return str(known) if known else None
        key = log_lines.host_key(client.log(pod.id, "container"))
        if not is_known:
            # The pin is that of an earlier start: its container, and its key, are gone.
            KnownHosts(self.laptop.known_hosts).forget(self.pod.name)
        self._seen.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        atomic.write(self._seen, json.dumps({"start": start, "host_key": key}) + "\n")
        return key

    def forget(self) -> None:
        """Forget the host key of a pod that is gone."""
        KnownHosts(self.laptop.known_hosts).forget(self.pod.name)
        self._seen.unlink(missing_ok=True)

    @property
    def file(self) -> Path:
        """The private key that opens the pod: the file's, or our own."""
        chosen = self.pod.identity_file
        return chosen.expanduser() if chosen else self.laptop.runpod / "id_ed25519"

    def public_key(self) -> str:
        """Return the line for the pod's authorized_keys; our own key pair is made at first use.

        Raises:
            ConfigError: the file's key has no public half beside it.
        """
        private = self.file
        public = private.with_name(f"{private.name}.pub")
        if self.pod.identity_file is None and not private.exists():
            make_key_pair(private)
        try:
            return public.read_text(encoding="utf-8").strip()
        except OSError as err:
            raise ConfigError(
                f"{public}: can't be read, {err.strerror}; expected the public half of "
                "identity_file",
                f"ssh-keygen -y -f {private} > {public}",
            ) from err


def make_key_pair(private: Path) -> None:
    """Write a new key pair: `private`, and its public half beside it."""
    import asyncssh

    private.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = asyncssh.generate_private_key("ssh-ed25519", comment="moola-remote")
    public = private.with_name(f"{private.name}.pub")
    atomic.write(public, key.export_public_key().decode("ascii"))
    atomic.write(private, key.export_private_key().decode("ascii"))
