"""Any machine with an SSH server: used as it is, never started or stopped.

How it is reached is the user's SSH configuration, which the pod's file overrides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from moola_remote.errors import ConfigError
from moola_remote.providers.base import Confirm, PodStatus, Say, decline, quiet
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.user_config import config_argument, resolve

if TYPE_CHECKING:
    from moola_remote.config.settings import PodConfig


@dataclass(frozen=True)
class SshProvider:
    """The pod of a file with ``provider: ssh``."""

    is_paid: ClassVar[bool] = False
    pod: PodConfig

    def up(self, *, say: Say = quiet, confirm: Confirm = decline) -> Endpoint:  # noqa: ARG002
        """Return the pod as its file has it."""
        return self.endpoint()

    def endpoint(self) -> Endpoint:
        """Return the pod as its file has it; only connecting shows whether it answers.

        Raises:
            ConfigError: no host, an identity file that is not there, or a configuration that
                OpenSSH refuses.
        """
        pod = self.pod
        identity_file = pod.identity_file.expanduser() if pod.identity_file else None
        if not pod.host:
            raise ConfigError(
                f"configs/pods/{pod.name}.yaml: host: missing, expected a name or an address"
            )
        if identity_file and not identity_file.is_file():
            raise ConfigError(
                f"configs/pods/{pod.name}.yaml: identity_file: no such file "
                f"{str(identity_file)!r}, expected a private key",
                "name another, or make one with ssh-keygen -t ed25519",
            )
        config = resolve(
            pod.host,
            user=pod.user,
            port=pod.port,
            options=pod.ssh_options,
            file=config_argument(pod.ssh_config),
        )
        return Endpoint(
            name=pod.name,
            host=config.hostname,
            port=config.port,
            user=config.user,
            identity_file=identity_file,
            host_key=pod.host_key,
            known_key=None,
            root=pod.root,
            python=pod.python,
            price_per_hour=pod.price_per_hour,
            host_config=config,
            scope=pod.scope,
            private_host=pod.private_host,
        )

    def stop(self) -> None:
        """Refused: the machine is not ours.

        Raises:
            ConfigError: always.
        """
        raise self._not_ours("stop")

    def down(self, *, remove_data: bool) -> None:  # noqa: ARG002 - the Provider's form
        """Refused: the machine is not ours.

        Raises:
            ConfigError: always.
        """
        raise self._not_ours("remove")

    def status(self) -> PodStatus:
        """Its address; we don't rule it, so we don't say more."""
        return PodStatus(
            "foreign",
            f"{self.pod.host} port {self.pod.port}" if self.pod.port else str(self.pod.host),
        )

    def _not_ours(self, verb: str) -> ConfigError:
        return ConfigError(
            f"pod {self.pod.name}: not ours to {verb}, expected a pod that moola-remote started",
            f"{verb} {self.pod.host} where it was started",
        )
