"""What makes pods: the embedded one, any SSH host, RunPod."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moola_remote.providers.base import PodStatus, Provider

if TYPE_CHECKING:
    from moola_remote.config.settings import PodConfig
__all__ = ["PodStatus", "Provider", "provider_for"]


def provider_for(pod: PodConfig) -> Provider:
    """Return the provider of a pod's file.

    Raises:
        ConfigError: a key that means nothing to this provider.
    """
    if pod.provider == "local":
        from moola_remote.providers.local.provider import LocalProvider

        return LocalProvider.of(pod)
    if pod.provider == "runpod":
        from moola_remote.providers.runpod.provider import RunpodProvider

        return RunpodProvider.of(pod)
    from moola_remote.providers.ssh import SshProvider

    return SshProvider(pod)
