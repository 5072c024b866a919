"""Where a pod is reached by SSH, and what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from moola_remote.ssh.user_config import HostConfig


@dataclass(frozen=True)
class Endpoint:
    """All that is needed to reach a pod and to work there.

    `host_key` is the fingerprint that is known beforehand (``SHA256:...``), `known_key` the whole
    public key (``ssh-ed25519 AAAA...``); with neither, the first contact has to ask. `guard` is
    what a rented pod gets sent, so that it stops by itself. `host_config` is what the user's SSH
    configuration says of the host; None leaves the user's files unread. `scope` distinguishes pods
    of one name where the name alone does not: the project's folder, as a digest. `private_host` is
    what other pods reach it by, on any port; None where they can't.
    """

    name: str
    host: str
    port: int
    user: str
    identity_file: Path | None
    host_key: str | None
    known_key: str | None
    root: str
    python: str
    price_per_hour: float | None
    guard: dict[str, Any] | None = None
    host_config: HostConfig | None = None
    scope: str = ""
    private_host: str | None = None

    @property
    def pin(self) -> str:
        """The name that its host key is kept under where another project has its plain one."""
        return f"{self.name}-{self.scope}" if self.scope else self.name


def place(endpoint: Endpoint) -> str:
    """Return how messages name a pod."""
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    return f"{endpoint.name} ({host}:{endpoint.port})"
