"""Probe a rented pod that starts."""

from __future__ import annotations

from moola_remote.config.paths import Laptop
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.hostkeys import Ask


def probe_pod(endpoint: Endpoint, ask: Ask, laptop: Laptop) -> None:
    """Connect once, to see that a started pod answers with the right host key."""
    from moola_remote.ssh.connect import connect

    transport = connect(endpoint, known_hosts=laptop.known_hosts, ask=ask)
    try:
        transport.run(["true"])
    finally:
        transport.close()
