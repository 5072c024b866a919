"""One run from its start to its verified files, over any number of lost connections.

Each step can be repeated: a run is started once for each id, the stream continues where it was cut,
and what was fetched is not fetched twice.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from moola_remote.agent_client import verbs
from moola_remote.config.paths import STATE
from moola_remote.config.typed import read_json
from moola_remote.errors import MoolaError, NoCheckpointError, TransferError, UnreachableError
from moola_remote.follow.follower import Listener, follow
from moola_remote.follow.journal import Journal
from moola_remote.follow.reconnect import PATIENCE_S, Answer, Link, persist
from moola_remote.pods.pod import Pod
from moola_remote.protocol.spec import Spec
from moola_remote.protocol.state import RunState, read_state
from moola_remote.results.fetch import fetch_run
from moola_remote.results.selection import What
from moola_remote.runs.hooks import run_hook
from moola_remote.runs.launch import RunRequest, submit
from moola_remote.runs.local_state import notes_of


@dataclass(frozen=True)
class WholeRun:
    """Brings runs of one pod to their end, one after the other.

    Attributes:
        pod: its connection is this caller's alone.
        patience_s: how long the pod may be out of reach.
        is_stopped: whether waiting for it has lost its point.
    """

    pod: Pod
    patience_s: float = PATIENCE_S
    is_stopped: Callable[[], bool] = lambda: False

    def persist(self, call: Callable[[], Answer]) -> Answer:
        """Repeat `call` over lost connections, see the function `persist`."""

        def on_lost(err: UnreachableError) -> None:
            if self.is_stopped():
                raise err
            self.pod.forget()

        return persist(call, on_lost, self.patience_s)

    def start(self, spec: Callable[[], Spec], request: RunRequest) -> RunState:
        """Start the run, or learn how it stands; without checkpoints of its parent, from scratch.

        Args:
            spec: made again with each try, as it may name what the pod has.
            request: what is asked beside it.
        """

        def start() -> RunState:
            asked = spec()
            try:
                return submit(self.pod, asked, request)
            except NoCheckpointError:
                return submit(self.pod, asked.changed(parent=None), request)

        return self.persist(start)

    def follow(self, run_id: str, listener: Listener) -> RunState:
        """Follow a run to its end, from its beginning."""
        agent = self.persist(lambda: self.pod.agent)
        link = Link(agent, self.pod.reconnect, give_up_s=self.patience_s)
        with Journal(self.pod.laptop.journal(self.pod.name, run_id)) as journal:
            return follow(link, run_id, journal, listener, replay=True)

    def fetch(self, state: RunState, what: What, say: Callable[[str], None]) -> Path:
        """Fetch what an ended run left, verified; of one that did not succeed, what there is.

        Args:
            state: of the run.
            what: part of its files.
            say: given what a command for its end on this laptop says.

        Returns:
            Its folder.
        """
        results = self.pod.project.results_folder

        def fetch() -> None:
            fetch_run(self.pod.transport, self.pod.agent, state.run_id, results, what=what)

        try:
            self.persist(fetch)
        except TransferError:
            if state.state == "SUCCEEDED":
                raise
        notes = notes_of(self.pod, state.run_id)
        notes.keep_state(state)
        run_hook(notes, state, say)
        return results / state.run_id

    def is_unknown(self, run_id: str) -> bool:
        """Return whether the pod has no such run (any more)."""
        known = self.persist(lambda: verbs.list_runs(self.pod.agent))
        return all(state.run_id != run_id for state in known)


def fetched_state(folder: Path) -> RunState | None:
    """Return the state of a run that succeeded and was fetched before; None where it was not."""
    with suppress(OSError, ValueError, MoolaError):
        state = read_state(read_json((folder / STATE).read_bytes()))
        return state if state.state == "SUCCEEDED" and state.run_id == folder.name else None
    return None
