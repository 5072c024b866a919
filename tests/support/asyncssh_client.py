"""asyncssh's own client, against a server of the tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tests.remote.providers.conftest import Client

if TYPE_CHECKING:
    import asyncssh


@asynccontextmanager
async def asyncssh_to(client: Client) -> AsyncIterator[asyncssh.SSHClientConnection]:
    import asyncssh

    endpoint = client.endpoint
    known = asyncssh.import_known_hosts(f"[{endpoint.host}]:{endpoint.port} {endpoint.known_key}\n")
    async with asyncssh.connect(
        endpoint.host,
        endpoint.port,
        username=endpoint.user,
        client_keys=[str(endpoint.identity_file)],
        known_hosts=known,
        config=None,
    ) as connection:
        yield connection
