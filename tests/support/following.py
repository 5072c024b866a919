"""A laptop that follows a run of a pod in this machine's folders."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from moola_remote.agent_client.client import Agent
from moola_remote.follow.follower import Listener, Notice, follow
from moola_remote.follow.journal import Journal
from moola_remote.follow.reconnect import Link
from moola_remote.protocol.events import Event
from moola_remote.protocol.state import RunState
from tests.support.fakes import ShellTransport
from tests.support.pods import AgentPod


class Watcher:
    """A listener that keeps everything."""

    def __init__(self) -> None:
        self.log = b""
        self.events: list[Event] = []
        self.states: list[RunState] = []
        self.notices: list[Notice] = []

    @property
    def listener(self) -> Listener:
        return Listener(self.take, self.events.append, self.states.append, self.notices.append)

    def take(self, data: bytes) -> None:
        self.log += data


class Laptop:
    """One client of a pod, with its journals."""

    def __init__(self, pod: AgentPod, folder: Path) -> None:
        self.pod = pod
        self.folder = folder
        folder.mkdir()
        self.python = sys.executable
        self.transport = ShellTransport(folder)
        self.cuts: Iterator[int | None] = iter(())
        self.made: list[ShellTransport] = []

    def agent(self, transport: ShellTransport) -> Agent:
        return Agent(transport, root=str(self.pod.root), python=self.python)

    def reconnect(self) -> Agent:
        transport = ShellTransport(self.folder)
        transport.cut_after = next(self.cuts, None)
        self.made.append(transport)
        return self.agent(transport)

    def follow(self, run_id: str, watcher: Watcher, **options: Any) -> RunState:
        replay = options.pop("replay", False)
        options.setdefault("backoff_s", (0.001,))
        link = Link(self.agent(self.transport), self.reconnect, **options)
        with Journal(self.folder / run_id) as journal:
            return follow(link, run_id, journal, watcher.listener, replay=replay)


LINES = "i=0; while [ $i -lt 30 ]; do echo line $i; i=$((i+1)); sleep 0.01; done; exit 3"
