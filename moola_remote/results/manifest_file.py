"""The manifest of a run, from the pod or from the laptop."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from moola_remote.agent_client import client, verbs
from moola_remote.errors import TransferError
from moola_remote.protocol import state
from moola_remote.protocol.manifest import MAX_MANIFEST_BYTES
from moola_remote.ssh.read_file import read_file

if TYPE_CHECKING:
    from moola_remote.ssh.transport import Transport


def manifest_content(transport: Transport, agent: client.Agent, state: state.RunState) -> bytes:
    """Return what a run's ``manifest.json`` holds, as its `state` names it.

    Raises:
        TransferError: the run is active, or the manifest is another one, or can't be read.
    """
    run_id = state.run_id
    if not state.has_ended:
        raise TransferError(
            f"run {run_id}: still {state.state}; what it writes is complete when it has ended",
            f"follow it with `moola-remote attach {run_id}`, then fetch again; "
            "`moola-remote cancel` ends it with a last checkpoint",
        )
    expected = verbs.make_manifest(agent, run_id)
    far = agent.folder.run(run_id)
    content = read_file(transport, far.manifest, MAX_MANIFEST_BYTES)
    if hashlib.sha256(content).hexdigest() != expected:
        raise TransferError(f"run {run_id}: manifest.json is not the one that state.json names")
    return content
