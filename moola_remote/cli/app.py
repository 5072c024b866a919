"""What a command needs: the pod, and the terminal that it talks to."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import click

from moola_remote.errors import LimitError, UnreachableError
from moola_remote.pods.pod import Pod
from moola_remote.ui.prompts import (
    ask_on_terminal,
    ask_passphrase_on_terminal,
    confirm,
    say,
    signals_as_interrupts,
)

if TYPE_CHECKING:
    from moola_remote.config.paths import LaptopPaths
    from moola_remote.config.settings import Project
    from moola_remote.follow.journal import Journal
    from moola_remote.protocol.state import RunState
Answer = TypeVar("Answer")


class App:
    """One command's pod and output.

    Args:
        pod_name: a file of ``configs/pods``; None takes the project's default.
        as_json: answers are JSON lines on stdout.
        is_verbose: what is ordinary is printed to stderr too.
        may_start: a free pod may be started for this; otherwise one that isn't up is unreachable.
    """

    def __init__(
        self,
        *,
        pod_name: str | None = None,
        as_json: bool = False,
        is_verbose: bool = False,
        may_start: bool = True,
    ) -> None:
        self.pod = Pod(
            pod_name,
            may_start=may_start,
            ask=ask_on_terminal,
            ask_passphrase=ask_passphrase_on_terminal,
        )
        self.as_json = as_json
        self.is_verbose = is_verbose
        # Of a rented pod, overriding its file's; inf is never.
        self.idle_stop_s: float | None = None
        # Seconds until a rented pod stops itself, once it was brought up; None: it has no end.
        self.left_s: float | None = None

    @property
    def project(self) -> Project:
        """The project that the current folder lies in."""
        return self.pod.project

    @cached_property
    def laptop(self) -> LaptopPaths:
        """Where keys, pins and journals are kept."""
        return self.pod.laptop

    @contextlib.contextmanager
    def for_pod(self, name: str) -> Iterator[App]:
        """Yield the same for another pod, whose connection ends with the block."""
        one = App(pod_name=name, as_json=self.as_json, is_verbose=self.is_verbose)
        with one.pod:
            yield one

    def bring_up(self) -> None:
        """Make or start the pod after checks of this machine; report progress on stderr."""
        from moola_remote.doctor.checks import check_before_renting

        if self.pod.provider.is_paid:
            check_before_renting(self.pod)
        with signals_as_interrupts():
            self.left_s = self.pod.bring_up(say=say, confirm=confirm, idle_stop_s=self.idle_stop_s)

    def persist(self, call: Callable[[], Answer]) -> Answer:
        """Repeat `call` over lost connections, and say so; what else is wrong ends it at once.

        Args:
            call: goes on where it was cut; the pod was reached before.

        Raises:
            UnreachableError: the pod was out of reach for too long, or answers and is not as it
                should be.
        """
        from moola_remote.follow.reconnect import PATIENCE_S, persist

        said = ""

        def on_lost(err: UnreachableError) -> None:
            nonlocal said
            if self.pod.answers():
                raise err
            if err.message != said:  # of many attempts that fail alike, one line
                said = err.message
                click.echo(f"{said}: trying again", err=True)
            self.pod.forget()

        return persist(call, on_lost, PATIENCE_S)

    def find_run(self, name: str | None) -> RunState:
        """Return the run that the user means; when none is named, the latest, named on stderr."""
        from moola_remote.runs.select import resolve

        run = resolve(self.pod.agent, name)
        if name is None:
            click.echo(f"latest run: {run.run_id}", err=True)
        self.finish([run])
        return run

    def where_to_look(self, name: str) -> str:
        """Return where a run may be that the pod has not, in words."""
        from moola_remote.config.settings import base_of, pod_names
        from moola_remote.runs.local_state import pods_with

        # Those of other projects are noted there, too.
        files = {*pod_names(self.project)}
        found = [pod for pod in pods_with(self.laptop, name) if {pod, base_of(pod)} & files]
        for other in found:
            if other != self.pod.name:
                return f"it is on pod {other}: begin with {self.pod.other(other).command}"
        return f"see them with: {self.pod.command} runs"

    def finish(self, runs: Iterable[RunState]) -> None:
        """Record the states of `runs`, and run the local commands that wait for their end."""
        from moola_remote.runs.hooks import run_hook
        from moola_remote.runs.local_state import notes_of

        for run in runs:
            notes = notes_of(self.pod, run.run_id)
            with contextlib.suppress(LimitError):  # a full disk here hides no run
                notes.keep_state(run)
            run_hook(notes, run, say)

    def journal(self, run_id: str) -> Journal:
        """Open the journal of a run, after making room for it."""
        from moola_remote.follow.journal import Journal
        from moola_remote.runs.local_state import thin_out

        limit = self.project.journals_mb
        folder = self.laptop.journal(self.pod.name, run_id)
        dropped = thin_out(self.laptop.journals, limit * 1_000_000, folder)
        if dropped:
            text = f"journals had more than {limit} MB: dropped those of the {len(dropped)} oldest"
            click.echo(f"{text} ended runs; their logs come again from the pod", err=True)
        return Journal(folder)

    def answer(self, fields: dict[str, Any]) -> None:
        """Print one JSON line on stdout; NaN and infinity become null."""
        import json

        from moola_remote.config.typed import json_of, plain

        try:
            line = json_of(fields).decode()
        except UnicodeEncodeError:  # bytes that are no UTF-8, for which JSON has escapes
            strict = json.loads(json.dumps(plain(fields)), parse_constant=lambda _: None)
            line = json.dumps(strict)
        click.echo(line)
