"""One command's view of the project and its pod: each part is made when it is first asked for."""

from __future__ import annotations

import contextlib
import math
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from moola_remote.errors import LimitError, UnreachableError

if TYPE_CHECKING:
    from moola_remote.archive import Archive
    from moola_remote.config import PodConfig, Project
    from moola_remote.follow import Journal, Link
    from moola_remote.layout import Laptop
    from moola_remote.notes import Notes
    from moola_remote.providers import Endpoint, Provider
    from moola_remote.runs import Agent, RunState
    from moola_remote.transport import Transport


class Session:
    """The project, its pod, the connection to it and the agent on it.

    Args:
        pod_name: a file of ``configs/pods``; None takes the project's default.
        as_json: answers are JSON lines on stdout.
        is_verbose: what is ordinary is told on stderr too.
        may_start: the pod may be started for this; otherwise one that isn't up is unreachable.
    """

    def __init__(
        self,
        *,
        pod_name: str | None = None,
        as_json: bool = False,
        is_verbose: bool = False,
        may_start: bool = True,
    ) -> None:
        self._pod_name = pod_name
        self._may_start = may_start
        self.as_json = as_json
        self.is_verbose = is_verbose
        # Of a rented pod, instead of its file's; inf is never.
        self.idle_stop_s: float | None = None
        # A rented pod's time until its own end, once it was brought up; None where it has none.
        self.left_s: float | None = None

    @cached_property
    def project(self) -> Project:
        """The project that the current folder lies in."""
        from moola_remote.config import find_project

        return find_project(Path.cwd())

    @cached_property
    def laptop(self) -> Laptop:
        """Where keys, pins and journals are kept."""
        from moola_remote.layout import Laptop

        return Laptop.of_user()

    @cached_property
    def pod(self) -> PodConfig:
        """The pod's settings."""
        from moola_remote.config import load_pod

        return load_pod(self.project, self._pod_name or self.project.pod)

    @cached_property
    def provider(self) -> Provider:
        """What makes this pod."""
        from moola_remote.providers import provider_for

        return provider_for(self.pod)

    @cached_property
    def endpoint(self) -> Endpoint:
        """Where the pod is; one that costs nothing is started if need be."""
        may_start = self._may_start and not self.provider.is_paid
        return self.provider.up() if may_start else self.provider.endpoint()

    def bring_up(self) -> Endpoint:
        """Make or start the pod after a look at this machine, and tell how it goes on stderr."""
        from moola_remote.checks import check_before_renting

        if self.provider.is_paid:
            check_before_renting(self)
        with _signals_as_interrupts():
            self.endpoint = self.provider.up(say=_say, confirm=_confirm)
        settings = self.endpoint.guard
        if settings is not None:
            from moola_remote.guard import set_guard

            if self.idle_stop_s is not None:
                idle_stop_s = self.idle_stop_s if math.isfinite(self.idle_stop_s) else None
                settings = {**settings, "idle_stop_s": idle_stop_s}
            try:
                guarded = set_guard(self.agent, settings)
            except BaseException:
                _say(f"warning: the pod has no guard; end its price with: {self.command} stop")
                raise
            _say(guarded.line)
            self.left_s = guarded.left_s
        return self.endpoint

    @cached_property
    def transport(self) -> Transport:
        """The connection; its host key is checked against the pin."""
        return self.connect()

    def connect(self) -> Transport:
        """A connection of its own, for whoever has to reconnect."""
        endpoint = self.endpoint
        try:
            return self._connect_to(endpoint)
        except UnreachableError:
            self.__dict__.pop("endpoint", None)  # a rented pod's port changes with each start
            raise

    @cached_property
    def agent(self) -> Agent:
        """Our program on the pod."""
        return _agent(self.transport, self.endpoint)

    def link(self) -> Link:
        """How the pod is reached, and reached again after a cut."""
        from moola_remote.follow import Link

        return Link(self.agent, self.reach)

    def agent_at(self, endpoint: Endpoint) -> Agent:
        """The agent on another pod than ours, over a connection of its own."""
        return _agent(self._connect_to(endpoint), endpoint)

    def reach(self) -> Agent:
        """The agent over a connection of its own, which whoever asks closes."""
        return _agent(self.connect(), self.endpoint)

    @cached_property
    def archive(self) -> Archive:
        """The code of past runs."""
        from moola_remote.archive import Archive

        return Archive(self.laptop.snapshots)

    def find_run(self, name: str | None) -> RunState:
        """The run that a person means; when none is named the latest, which is said on stderr."""
        from moola_remote.runs import resolve

        run = resolve(self.agent, name)
        if name is None:
            click.echo(f"latest run: {run.run_id}", err=True)
        self.finish([run])
        return run

    def finish(self, runs: Iterable[RunState]) -> None:
        """Note how `runs` stand, and run the commands that wait on this laptop for their end."""
        from moola_remote.hooks import run_hook

        for run in runs:
            notes = self.notes(run.run_id)
            with contextlib.suppress(LimitError):  # a full disk here hides no run
                notes.keep_state(run)
            run_hook(notes, run)

    def journal(self, run_id: str) -> Journal:
        """What has arrived of a run's log and events; makes room for it where there is none."""
        from moola_remote.follow import Journal
        from moola_remote.notes import thin_out

        limit = self.project.journals_mb
        folder = self.laptop.journal(self.pod.name, run_id)
        dropped = thin_out(self.laptop.journals, limit * 1_000_000, folder)
        if dropped:
            told = f"journals had more than {limit} MB: dropped those of the {len(dropped)} oldest"
            click.echo(f"{told} ended runs; their logs come again from the pod", err=True)
        return Journal(folder)

    def notes(self, run_id: str) -> Notes:
        """What this laptop has noted of a run."""
        from moola_remote.notes import Notes

        return Notes(self.laptop.journal(self.pod.name, run_id))

    def _connect_to(self, endpoint: Endpoint) -> Transport:
        from moola_remote.transport import connect

        known_hosts, ask = self.laptop.known_hosts, _ask_if_there_is_someone()
        return connect(endpoint, known_hosts=known_hosts, ask=ask)

    def answer(self, fields: dict[str, Any]) -> None:
        """One line of strict JSON on stdout: what is no number there is null."""
        from pydantic_core import to_json

        click.echo(to_json(fields, inf_nan_mode="null").decode())

    @property
    def command(self) -> str:
        """What to type for this pod, in hints: ``moola-remote``, with ``--pod`` where needed."""
        is_default = self.pod.name == self.project.pod
        return "moola-remote" if is_default else f"moola-remote --pod {self.pod.name}"

    def close(self) -> None:
        """Close the connection if there is one."""
        if "transport" in self.__dict__:
            self.transport.close()


def _agent(transport: Transport, endpoint: Endpoint) -> Agent:
    from moola_remote.runs import Agent

    return Agent(transport, root=endpoint.root, python=endpoint.python)


@contextlib.contextmanager
def _signals_as_interrupts() -> Iterator[None]:
    """A terminal that is closed must not leave a pod that nobody waits for, and nobody guards."""
    both = (signal.SIGTERM, signal.SIGHUP)
    numbers = [number for number in both if signal.getsignal(number) == signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # the terminal may have been closed
        click.echo(line, err=True)


def _confirm(question: str) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    try:
        return click.confirm(question, err=True)
    except (click.Abort, OSError):  # Ctrl-C again, or nobody there any more
        return False


def _ask_if_there_is_someone() -> Callable[[str], bool] | None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    def ask(fingerprint: str) -> bool:
        return click.confirm(
            f"The pod shows the host key {fingerprint}. Is it the right one?", err=True
        )

    return ask
