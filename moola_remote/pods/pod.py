"""A pod with its connection and agent; each part is made when it is first asked for.

Connections are opened here alone (`Pod.connect`); a `with` of the pod closes its own.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from moola_remote.errors import UnreachableError

if TYPE_CHECKING:
    from moola_remote.agent_client.client import Agent
    from moola_remote.config.paths import LaptopPaths
    from moola_remote.config.settings import PodConfig, Project
    from moola_remote.providers.base import Confirm, Provider, Say
    from moola_remote.ssh.endpoint import Endpoint
    from moola_remote.ssh.hostkeys import Ask
    from moola_remote.ssh.keys import AskPassphrase
    from moola_remote.ssh.transport import Transport
# For a command that does nothing.
ANSWER_S = 10.0


class Pod:
    """The pod of a project, the connection to it and the agent on it; a context manager.

    Args:
        name: a file of ``configs/pods``; None takes the project's default.
        may_start: a free pod may be started for this; otherwise one that isn't up is unreachable.
        ask: returns the question about an unknown host key, or None if not interactive.
        ask_passphrase: returns the question for a key's passphrase, or None likewise.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        may_start: bool = True,
        ask: Callable[[], Ask | None] = lambda: None,
        ask_passphrase: Callable[[], AskPassphrase | None] = lambda: None,
    ) -> None:
        self._name = name
        self._may_start = may_start
        self._ask = ask
        self._ask_passphrase = ask_passphrase

    @cached_property
    def project(self) -> Project:
        """The project that the current folder lies in."""
        from moola_remote.config.settings import find_project

        return find_project(Path.cwd())

    @cached_property
    def laptop(self) -> LaptopPaths:
        """Where keys, pins and journals are kept."""
        from moola_remote.config.paths import LaptopPaths

        return LaptopPaths.of_user()

    @cached_property
    def config(self) -> PodConfig:
        """The settings of the pod."""
        from moola_remote.config.settings import load_pod

        return load_pod(self.project, self.project.pod if self._name is None else self._name)

    @property
    def name(self) -> str:
        """The name of the pod, that of its file."""
        return self.config.name

    @cached_property
    def provider(self) -> Provider:
        """What makes this pod."""
        from moola_remote.providers import provider_for

        return provider_for(self.config)

    @cached_property
    def endpoint(self) -> Endpoint:
        """Where the pod is; one that costs nothing is started if need be."""
        may_start = self._may_start and not self.provider.is_paid
        return self.provider.up() if may_start else self.provider.endpoint()

    def bring_up(self, *, say: Say, confirm: Confirm, idle_stop_s: float | None) -> float | None:
        """Make or start the pod, and set the guard of a rented one.

        Args:
            say: given each line of progress.
            confirm: asks the user a question.
            idle_stop_s: overrides the pod file's value; inf is never.

        Returns:
            Seconds until a rented pod stops itself; None where it has no end.
        """
        self.endpoint = self.provider.up(say=say, confirm=confirm)
        settings = self.endpoint.guard
        if settings is None:
            return None
        from moola_remote.pods.watchdog import set_guard

        if idle_stop_s is not None:
            limit_s = idle_stop_s if math.isfinite(idle_stop_s) else None
            settings = {**settings, "idle_stop_s": limit_s}
        try:
            guarded = set_guard(self.agent, settings)
        except BaseException:
            say(f"warning: the pod has no guard; stop the billing with: {self.command} stop")
            raise
        say(guarded.line)
        return guarded.left_s

    @cached_property
    def transport(self) -> Transport:
        """The connection; its host key is checked against the pin."""
        return self.connect()

    def connect(self) -> Transport:
        """Open a new connection, which the caller must close."""
        endpoint = self.endpoint
        try:
            return self._connect_to(endpoint)
        except UnreachableError:
            self.__dict__.pop("endpoint", None)  # a rented pod's port changes with each start
            raise

    @cached_property
    def agent(self) -> Agent:
        """The agent on the pod."""
        return _agent(self.transport, self.endpoint)

    def agent_at(self, endpoint: Endpoint) -> Agent:
        """Return the agent at another endpoint, on a new connection. The caller must close it."""
        return _agent(self._connect_to(endpoint), endpoint)

    def reach(self) -> Agent:
        """Return the agent on a new connection. The caller must close it."""
        agent = _agent(self.connect(), self.endpoint)
        if "agent" in self.__dict__:  # another Python may have been found by the first
            agent.python = self.agent.python
        return agent

    def reconnect(self) -> Agent:
        """Return the agent on a new connection, as `reach`, in the place of a lost one.

        The next use of `agent` or `transport` opens its own.
        """
        agent = self.reach()
        with contextlib.suppress(UnreachableError, OSError):
            self.close()
        return agent

    def _connect_to(self, endpoint: Endpoint) -> Transport:
        from moola_remote.ssh.connect import connect

        keep = None
        if endpoint.host_config or self.provider.is_paid:  # the embedded pod is on this machine
            from moola_remote.ssh.keeping import keeping

            keep = keeping(self.laptop.state, self.project.keep_connection_s)
        return connect(
            endpoint,
            known_hosts=self.laptop.known_hosts,
            ask=self._ask(),
            ask_passphrase=self._ask_passphrase(),
            keep=keep,
        )

    def other(self, name: str) -> Pod:
        """Return another pod of the project, which is not started. The caller must close it."""
        return Pod(name, may_start=False, ask=self._ask, ask_passphrase=self._ask_passphrase)

    def answers(self) -> bool:
        """Return whether the connection still carries a command; False where there is none."""
        with contextlib.suppress(UnreachableError):
            if "transport" in self.__dict__:
                self.transport.check()
                self.transport.run(["true"], timeout_s=ANSWER_S)
                return True
        return False

    @property
    def command(self) -> str:
        """What to type for this pod, in hints: ``moola-remote``, with ``--pod`` where needed."""
        is_default = self.name == self.project.pod
        return "moola-remote" if is_default else f"moola-remote --pod {self.name}"

    def forget(self) -> None:
        """Drop the connection and where the pod was: the next use looks for the pod again."""
        with contextlib.suppress(UnreachableError, OSError):
            self.close()
        self.__dict__.pop("endpoint", None)

    def __enter__(self) -> Pod:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection if there is one; the next use opens another."""
        self.__dict__.pop("agent", None)
        transport = self.__dict__.pop("transport", None)
        if transport is not None:
            transport.close()


def _agent(transport: Transport, endpoint: Endpoint) -> Agent:
    from moola_remote.agent_client.client import Agent

    return Agent(transport, root=endpoint.root, python=endpoint.python, name=endpoint.name)
