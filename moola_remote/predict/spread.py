"""Spread series over pods: a run a pod, its results taken in one by one, lost ones asked again."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from moola_remote.errors import ConfigError, MoolaError, behind_pod
from moola_remote.files import atomic
from moola_remote.files.hashing import sha256_of
from moola_remote.follow.follower import Listener
from moola_remote.follow.reconnect import PATIENCE_S, persist
from moola_remote.follow.whole_run import WholeRun
from moola_remote.pods.pod import Pod
from moola_remote.predict.tasks import (
    Begun,
    Done,
    Series,
    Work,
    read_index,
    share_out,
    to_do,
    write_index,
)
from moola_remote.protocol.spec import Spec, new_run_id
from moola_remote.runs.launch import RunRequest, new_spec
from moola_remote.runs.local_state import notes_of
from moola_remote.text.sanitize import Screen, safe

if TYPE_CHECKING:
    from moola_remote.deploy.deploy import Deployed

ROUNDS = 3
OUT = "spans"
MODEL = "model"


@dataclass
class Spread:
    """One prediction over files; `work_off` does it.

    Attributes:
        series: all of them.
        work: what they have in common.
        out: the folder of results.
        pods: names.
        deploy: has a pod up with the model and these series on it.
        say: given each line of progress; called from any thread.
        processes: at once on a pod; None is as many as it has CPUs.
    """

    series: Sequence[Series]
    work: Work
    out: Path
    pods: Sequence[str]
    deploy: Callable[[str, Sequence[Series]], Deployed]
    say: Callable[[str], None]
    processes: int | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _errors: dict[str, MoolaError] = field(default_factory=dict)

    def work_off(self) -> list[Series]:
        """Do what is not done; return what could not be.

        Raises:
            MoolaError: no pod could do anything.
        """
        index = read_index(self.out)
        index.failed.clear()  # its file may be fixed by now
        write_index(self.out, index)
        self._threads({begun.run_id: (begun,) for begun in read_index(self.out).begun}, self._end)
        for _ in range(ROUNDS):
            index = read_index(self.out)
            left = [one for one in self._left() if one.name not in index.failed]
            pods = [pod for pod in self.pods if pod not in self._errors]
            if not left or not pods:
                break
            shares = share_out(left, pods)
            self._threads({pod: (pod, share) for pod, share in shares.items()}, self._begin)
        left = self._left()
        if len(left) == len(self.series) and self._errors:
            raise next(iter(self._errors.values()))
        return left

    def _left(self) -> list[Series]:
        return to_do(self.series, read_index(self.out), self.work, self.out)

    def _threads(
        self, tasks: Mapping[str, tuple[object, ...]], target: Callable[..., None]
    ) -> None:
        """Do tasks at once, in pieces that Ctrl-C is noticed between."""
        threads = [
            threading.Thread(target=target, args=words, name=name, daemon=True)
            for name, words in tasks.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.5)

    def _begin(self, name: str, share: Sequence[Series]) -> None:
        """Start a run for a pod's share, and bring it to its end; an error is kept."""
        begun = Begun(run_id=new_run_id("predict"), pod=name, names=[one.name for one in share])
        try:
            deployed = persist(lambda: self.deploy(name, share), lambda _: None, 60.0)
            with Pod(name) as pod:
                request = RunRequest(label="predict")
                processes = min(self.processes or deployed.facts.cpus or 1, len(share))
                words = ["--run", MODEL, "--out", OUT, "--processes", str(processes)]
                bars = [f"bars{number:04}/{one.path.name}" for number, one in enumerate(share)]
                job = ["python", "-m", "jobs.predict_files"]
                argv = [*job, *words, *self.work.options, *bars]
                spec = new_spec(pod, deployed, request, begun.run_id, argv)
                with self._lock:
                    index = read_index(self.out)
                    index.begun.append(begun)
                    write_index(self.out, index)
                WholeRun(pod).start(lambda: spec, request)
            self.say(f"pod {name}: run {begun.run_id}, {len(share)} series")
            self._end(begun)
        except MoolaError as err:
            self._lose(name, err)

    def _end(self, begun: Begun) -> None:
        """Follow a run that was begun, now or before a crash, and take its results in."""
        try:
            with Pod(begun.pod) as pod:
                run = WholeRun(pod, PATIENCE_S)
                try:
                    self._start_noted(run, begun)
                    state = run.follow(begun.run_id, self._listener(begun))
                except ConfigError:
                    if not run.is_unknown(begun.run_id):
                        raise
                    self._take(begun, None)
                    return
                self._take(begun, run.fetch(state, "results", self.say))
                if state.state != "SUCCEEDED":
                    self.say(f"pod {begun.pod}: run {begun.run_id} {state.state}, {state.reason}")
        except MoolaError as err:
            self._lose(begun.pod, err)

    def _start_noted(self, run: WholeRun, begun: Begun) -> None:
        """Start a run that was noted and perhaps never started: its id is started once."""
        noted = notes_of(run.pod, begun.run_id).spec
        with suppress(OSError):
            spec = Spec.read(noted.read_bytes(), str(noted))
            run.start(lambda: spec, RunRequest(label="predict"))

    def _listener(self, begun: Begun) -> Listener:
        """Report what the job prints, and the connection."""
        screen = Screen()

        def say(*lines: str) -> None:
            for line in filter(str.strip, lines):
                self.say(f"pod {begun.pod}: {line}")

        return Listener(
            on_log=lambda data: say(*screen.feed(data)),
            on_state=lambda state: say(state.trouble or ""),
            on_notice=lambda notice: say(notice.text),
        )

    def _take(self, begun: Begun, folder: Path | None) -> None:
        """Take in what a fetched run has, each file by its hash; forget the run."""
        by_name = {one.name: one for one in self.series}
        with self._lock:
            index = read_index(self.out)
            for name in begun.names:
                source = folder / OUT / f"{name}.parquet" if folder else None
                if name not in by_name or source is None or not source.is_file():
                    continue
                atomic.write(self.out / f"{name}.parquet", source.read_bytes(), mode=0o666)
                index.done[name] = Done(
                    bars_sha256=by_name[name].sha256,
                    model=self.work.model,
                    options=list(self.work.options),
                    spans_sha256=sha256_of(self.out / f"{name}.parquet")[1],
                    run_id=begun.run_id,
                )
                index.failed.pop(name, None)
            index.failed |= _failed(folder) if folder else {}
            index.begun = [one for one in index.begun if one.run_id != begun.run_id]
            write_index(self.out, index)

    def _lose(self, name: str, err: MoolaError) -> None:
        self._errors[name] = err
        self.say(f"pod {name} is no longer used: {behind_pod(name, str(err))}")


def _failed(folder: Path) -> dict[str, str]:
    """Return the series that the job could not read, with the reason."""
    with suppress(OSError, ValueError, AttributeError):
        table = json.loads((folder / OUT / "failed.json").read_bytes())["failed"]
        return {safe(str(name), 200): safe(str(why), 300) for name, why in table.items()}
    return {}
