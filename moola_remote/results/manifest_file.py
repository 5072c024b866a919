"""The manifest of a run, from the pod or from the laptop."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from moola_remote.agent_client import client, verbs
from moola_remote.config.paths import MANIFEST
from moola_remote.errors import TransferError
from moola_remote.protocol import state
from moola_remote.ssh.read_file import read_file

if TYPE_CHECKING:
    from moola_remote.ssh.transport import Transport

MAX_MANIFEST_BYTES = 64 * 2**20


def digest_here(folder: Path) -> str | None:
    """Return the SHA-256 of the manifest that an earlier fetch left; None where there is none."""
    try:
        return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
    except OSError:
        return None


def manifest_content(
    transport: Transport,
    agent: client.Agent,
    state: state.RunState,
    here: bytes = b"",
    named: tuple[str, bytes] | None = None,
) -> bytes:
    """Return what a run's ``manifest.json`` holds, as the pod names it now.

    Args:
        transport: the connection.
        agent: on the pod.
        state: the run's.
        here: the one that came with an earlier fetch, or empty: it is not sent again.
        named: what the pod has answered for `here` just now (`verbs.get_state_and_manifest`).

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
    if here:
        digest = hashlib.sha256(here).hexdigest()
        named = named or verbs.make_manifests(agent, {run_id: digest}).get(run_id)
        found, content = named or ("", b"")
        if found == digest:
            return here
        is_whole = hashlib.sha256(content).hexdigest() == found
        if is_whole and 0 < len(content) <= MAX_MANIFEST_BYTES:
            return content
    expected = verbs.make_manifest(agent, run_id)
    far = agent.folder.run(run_id)
    content = read_file(transport, far.manifest, MAX_MANIFEST_BYTES)
    if hashlib.sha256(content).hexdigest() != expected:
        raise TransferError(f"run {run_id}: manifest.json is not the one that state.json names")
    return content
