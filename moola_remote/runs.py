"""The client side of the agent: put it on the pod, ask it, read its answers.

The contract is docs/protocol.md. The pod is not trusted: what it says is parsed, bounded and made
safe for a screen before anybody sees it.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import logging
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from moola_remote.errors import (
    ConfigError,
    LimitError,
    MoolaError,
    RunLostError,
    TransferError,
    UnreachableError,
)
from moola_remote.events import Count, Name, Remote, Text
from moola_remote.facts import read_answer_as
from moola_remote.layout import PodFolder
from moola_remote.screen import safe

if TYPE_CHECKING:
    from moola_remote.transport import Channel, Transport

logger = logging.getLogger(__name__)

State: TypeAlias = Literal[
    "QUEUED", "PREPARING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED", "PREEMPTED", "LOST"
]
ENDED: frozenset[State] = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "PREEMPTED", "LOST"})

MAX_LAST_LINES = 25
MAX_RUNS = 10_000
MAX_PENDING = 4 * 2**20
MAX_LINE = 2000
# Past a grace that is the spec's, and the agent's own patience.
CANCEL_TIMEOUT_S = 600.0
# A run that goes on gets copies of checkpoints.
START_TIMEOUT_S = 600.0
# Cut off, `cat` would see an end of file like any other: the size decides.
UPLOAD = (
    'umask 077; mkdir -p "$1" && cat >"$1/.$2.$$" && [ "$(wc -c <"$1/.$2.$$")" -eq "$3" ] '
    '&& mv "$1/.$2.$$" "$1/$2"'
)
FULL_ID = re.compile(r"\d{8}-\d{6}-[a-z0-9-]+-[0-9a-f]{4}")
# It becomes the name of a folder here, too.
RUN_ID = r"^[a-z0-9][a-z0-9-]{0,63}$"
RunId: TypeAlias = Annotated[str, Field(pattern=RUN_ID)]

_ERRORS: dict[str, type[MoolaError]] = {
    "unknown_run": ConfigError,
    "bad_request": ConfigError,
    "environment": ConfigError,
    "different": TransferError,
    "not_ended": LimitError,
    "busy": LimitError,
    "disk_full": LimitError,
    "bad_run": RunLostError,
    "no_checkpoint": ConfigError,
}
_CURES = {
    "unknown_run": "see them with: moola-remote runs",
    "different": "send it again with: moola-remote deploy",
    "no_checkpoint": "start anew with: moola-remote train",
    "disk_full": "make room on the pod, for example with: moola-remote clean",
}


def _ending(lines: Any) -> Any:
    return lines[-MAX_LAST_LINES:] if isinstance(lines, list) else []


class RunState(Remote):
    """How a run stands, as the pod tells it; the times are the pod's clock, Unix seconds."""

    run_id: RunId
    state: State
    reason: Text | None = None
    returncode: Annotated[int, Field(ge=-(2**31), lt=2**32)] | None = None
    signal: Name | None = None
    oom_killed: bool = False
    queued_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    heartbeat_at: float | None = None
    gpu: Count | None = None
    last_lines: Annotated[list[Text], BeforeValidator(_ending)] = Field(default=[])
    log_size: Count = 0
    events_size: Count = 0
    manifest_sha256: Text | None = None
    queue_position: Count | None = None
    stopping: Text | None = None
    price_per_hour: float | None = None
    idle_share: Annotated[float, Field(ge=0, le=1)] | None = None
    on_finish: int | None = None
    now: float | None = None

    @property
    def has_ended(self) -> bool:
        """Whether this is the run's last state."""
        return self.state in ENDED

    @property
    def took_s(self) -> float | None:
        """Seconds from the job's start to its end, or to now."""
        end = self.now if self.ended_at is None else self.ended_at
        if self.started_at is None or end is None or not math.isfinite(end - self.started_at):
            return None
        return max(end - self.started_at, 0.0)

    @property
    def idle(self) -> str:
        """How much of the time nothing was done, and what that cost: ``8% $0.02``; or empty."""
        words = "" if self.idle_share is None else f"{self.idle_share:.0%}"
        if words in ("", "0%"):
            return ""
        if self.price_per_hour and self.took_s is not None and self.idle_share:
            words += f" ${self.idle_share * self.took_s / 3600 * self.price_per_hour:.2f}"
        return words


@dataclass(frozen=True)
class Started:
    """The answer to `submit`: `is_new` is False where the run was there already."""

    state: RunState
    is_new: bool


@dataclass(frozen=True)
class Cancelled:
    """The answer to `cancel`: how the run ended, and how many processes a signal of ours ended."""

    state: RunState
    num_killed: int


@cache
def agent_program() -> tuple[str, bytes]:
    """The agent's digest and its text."""
    content = Path(__file__).with_name("agent.py").read_bytes()
    return hashlib.sha256(content).hexdigest()[:16], content


class Agent:
    """Our program on the pod.

    Args:
        transport: the connection.
        root: the folder on the pod that is ours.
        python: its Python, 3.8 or newer.
    """

    def __init__(self, transport: Transport, *, root: str, python: str = "python3") -> None:
        self.transport = transport
        self.root = root
        self.python = python
        self.folder = PodFolder(PurePosixPath(root))
        self.digest, self._content = agent_program()
        self._path = self.folder.agent(self.digest)

    def argv(self, verb: str, *args: str) -> list[str]:
        """The command line of a verb: isolated and without site, it needs no package of the pod."""
        return [self.python, "-ISB", str(self._path), "--root", self.root, verb, *args]

    def call(
        self,
        verb: str,
        *args: str,
        stdin: bytes | Mapping[str, Any] = b"",
        timeout_s: float = 60.0,
    ) -> dict[str, Any]:
        """Ask, with one round trip where the agent is on the pod already.

        Raises:
            UnreachableError: no connection, no Python on the pod, or no answer that can be read.
            MoolaError: the agent refuses; one of errors.py by its reason.
        """
        data = stdin if isinstance(stdin, bytes) else json.dumps(stdin).encode()
        started = time.monotonic()
        done = self.transport.run(self.argv(verb, *args), stdin=data, timeout_s=timeout_s)
        if is_missing(done.returncode, done.stderr):
            self.upload()
            done = self.transport.run(self.argv(verb, *args), stdin=data, timeout_s=timeout_s)
        logger.info("agent %s: %.0f ms", verb, 1000 * (time.monotonic() - started))
        return read_answer(done.stdout, done.returncode, done.stderr, what=f"agent {verb}")

    def upload(self) -> None:
        """Put the agent on the pod: written aside, then renamed.

        Raises:
            ConfigError: its folder can't be written.
            UnreachableError: the connection was lost.
        """
        folder, name = str(self._path.parent), self._path.name
        argv = ["sh", "-c", UPLOAD, "sh", folder, name, str(len(self._content))]
        done = self.transport.run(argv, stdin=self._content)
        if done.returncode != 0:
            said = last_words(done.stderr) or "it arrived in part"
            raise ConfigError(
                f"pod: {safe(folder)} can't be written: {said}",
                "mend `root` in the pod's file, or make room on the pod",
            )
        logger.info("agent %s: uploaded, %d bytes", self.digest, len(self._content))

    def open(self, verb: str, *args: str) -> Channel:
        """A verb that is talked to while it runs; whether it is there at all is seen at its end."""
        return self.transport.open(self.argv(verb, *args))

    def environment(
        self,
        digest: str,
        requirements: str,
        *,
        say: Callable[[str], None],
        timeout_s: float = 600.0,
    ) -> dict[str, Any]:
        """Have the environment made where it is missing.

        Args:
            digest: its name.
            requirements: in pip's form.
            say: told each line of progress, made safe.
            timeout_s: of silence.

        Returns:
            The agent's answer: ``created``, ``python``, ``packages``, ``torch``.
        """
        code, last = self._make_environment(digest, requirements, say, timeout_s)
        if is_missing(code, last):
            self.upload()
            code, last = self._make_environment(digest, requirements, say, timeout_s)
        return read_answer(last, code, last, what="agent environment")

    def _make_environment(
        self, digest: str, requirements: str, say: Callable[[str], None], timeout_s: float
    ) -> tuple[int, bytes]:
        # One stream for progress and answer: the order is then the pod's.
        both = ["sh", "-c", 'exec "$@" 2>&1', "sh", *self.argv("environment", digest)]
        channel = self.transport.open(both)
        try:
            # Where there is no agent yet the command is over before it reads; its output says so.
            with contextlib.suppress(UnreachableError):
                channel.write(requirements.encode())
                channel.close_stdin()
            last = read_progress(channel, say, timeout_s)
            return channel.returncode(timeout_s), last
        finally:
            channel.close()


def read_progress(channel: Channel, say: Callable[[str], None], timeout_s: float) -> bytes:
    """Say each line of a stream up to the answer, or what stands for one, which is returned."""
    pending = b""
    while part := channel.read(1 << 16, timeout_s):
        *lines, pending = (pending + part).split(b"\n")
        # A line without an end is no progress that anybody could read.
        pending = pending[-MAX_PENDING:]
        for line in lines:
            if line.startswith(b'{"ok"') or b"can't open file" in line:
                return line
            say(safe(line.decode("utf-8", "replace"), MAX_LINE))
    return pending


def is_missing(returncode: int, stderr: bytes) -> bool:
    """Whether Python says that there is no such program."""
    return returncode == 2 and b"can't open file" in stderr


def read_answer(stdout: bytes, returncode: int, stderr: bytes, *, what: str) -> dict[str, Any]:
    """The JSON line that a verb printed.

    Raises:
        UnreachableError: it is none; a pod without our Python is one cause.
        MoolaError: it is a refusal.
    """
    if returncode == 127:
        raise UnreachableError(
            f"{what}: the pod has no such Python: {last_words(stderr)}",
            "name one, 3.8 or newer, as `python` in the pod's file",
        )
    try:
        answer = json.loads(stdout)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        said = last_words(stderr) or "nothing"
        raise UnreachableError(f"{what}: exit code {returncode}, expected an answer, got: {said}")
    if answer.get("ok") is not True:
        raise refusal(answer)
    return answer


def refusal(answer: Mapping[str, Any]) -> MoolaError:
    """What the agent refuses, as an error of ours."""
    code = word_of(answer.get("error"))
    message = safe(word_of(answer.get("message")), MAX_LINE) or "refused by the pod without a word"
    names = [*_names(answer, "missing"), *_names(answer, "different")]
    if names:
        message += f": {', '.join(names[:3])}{', ...' if len(names) > 3 else ''}"
    return _ERRORS.get(code, UnreachableError)(message, _CURES.get(code, ""))


def _names(answer: Mapping[str, Any], key: str) -> list[str]:
    names = answer.get(key)
    return [safe(word_of(name), 100) for name in names] if isinstance(names, list) else []


def word_of(value: Any) -> str:
    """A string of the pod's; anything else, however deep, is only told to be none."""
    return value if isinstance(value, str) else f"no text but {type(value).__name__}"


def last_words(stderr: bytes) -> str:
    """The last line of an error, safe to show."""
    lines = stderr[-4096:].decode("utf-8", "replace").strip().splitlines()
    return safe(lines[-1], MAX_LINE) if lines else ""


def read_state(value: Any) -> RunState:
    """A state as the agent sends it.

    Raises:
        TransferError: it is none.
    """
    return read_answer_as(RunState, value, "state")


def submit(
    agent: Agent, spec: Mapping[str, Any], secrets: Mapping[str, str] = MappingProxyType({})
) -> Started:
    """Start a run; asked again with the same run id, nothing is started again.

    Args:
        agent: the pod's agent.
        spec: ``spec.json`` of docs/protocol.md.
        secrets: environment variables of the job; on the pod only, and never in the spec.
    """
    asked = {**spec, "secrets": dict(secrets)}
    answer = agent.call("start", stdin=asked, timeout_s=START_TIMEOUT_S)
    return Started(read_state(answer.get("state")), is_new=answer.get("started") is True)


def get_state(agent: Agent, run_id: str) -> RunState:
    """How a run stands.

    Raises:
        ConfigError: there is none of this id; the nearest ones are named.
        TransferError: the answer is no state, or another run's.
    """
    try:
        state = read_state(agent.call("state", run_id).get("state"))
    except ConfigError as err:
        raise unknown_run(run_id, [state.run_id for state in list_runs(agent)]) from err
    if state.run_id != run_id:
        raise TransferError(f"run {safe(run_id, 80)}: the agent answers of {state.run_id}")
    return state


def list_runs(agent: Agent) -> list[RunState]:
    """Every run of the pod, newest last, without their last lines."""
    runs = agent.call("list").get("runs")
    return [read_state(run) for run in runs[-MAX_RUNS:]] if isinstance(runs, list) else []


def cancel(agent: Agent, run_id: str, *, grace_s: float | None = None) -> Cancelled:
    """End a run; returns when the pod has verified that nothing of it lives.

    Args:
        agent: the pod's agent.
        run_id: a whole run id.
        grace_s: between SIGTERM and SIGKILL; None takes the spec's.

    Raises:
        LimitError: processes of it still live; they are named.
    """
    grace = [] if grace_s is None else ["--grace", f"{grace_s:g}"]
    answer = agent.call("cancel", run_id, *grace, timeout_s=CANCEL_TIMEOUT_S + (grace_s or 0.0))
    killed = answer.get("killed")
    return Cancelled(read_state(answer.get("state")), killed if isinstance(killed, int) else 0)


@dataclass(frozen=True)
class Place:
    """Where in a log something begins, and how long the log was then; bytes."""

    offset: int
    size: int


def locate(
    agent: Agent, run_id: str, *, tail: int | None = None, since: float | None = None
) -> Place:
    """Where the last lines of a log begin, or what was written from a time on.

    Args:
        agent: the pod's agent.
        run_id: a whole run id.
        tail: how many lines; None is no limit.
        since: the pod's clock, Unix seconds; None is the beginning. No line is left out, those of
            up to a second before may be there too.
    """
    words = [] if tail is None else [f"--tail={tail}"]
    words += [] if since is None else [f"--since={since:.3f}"]
    answer = agent.call("locate", run_id, *words)
    offset, size = answer.get("offset"), answer.get("size")
    if not (isinstance(offset, int) and isinstance(size, int) and 0 <= offset <= size):
        raise TransferError(f"run {run_id}: expected a place in its log, got {safe(str(answer))}")
    return Place(offset, size)


def make_manifest(agent: Agent, run_id: str, *, timeout_s: float = 3600.0) -> str:
    """The SHA-256 of a run's ``manifest.json``, made now where it is missing."""
    return str(agent.call("manifest", run_id, timeout_s=timeout_s).get("manifest_sha256"))


def resolve(agent: Agent, name: str | None = None) -> RunState:
    """The run that a person means.

    Args:
        agent: the pod's agent.
        name: a run id, or the beginning of exactly one; None is the latest run.

    Raises:
        ConfigError: none or several.
    """
    if name is not None and FULL_ID.fullmatch(name):
        return get_state(agent, name)
    return choose(list_runs(agent), name)


def choose(runs: Sequence[RunState], name: str | None) -> RunState:
    """The run of a list that a person means; see `resolve`."""
    if name is None:
        if not runs:
            raise ConfigError("runs: there are none on the pod", "moola-remote train")
        return runs[-1]
    found = [run for run in runs if run.run_id == name]
    found = found or [run for run in runs if run.run_id.startswith(name)]
    if not found:
        raise unknown_run(name, [run.run_id for run in runs])
    if len(found) > 1:
        several = ", ".join(run.run_id for run in found[-3:])
        begins = f"run {safe(name, 80)}: {len(found)} begin so, the newest: {several}"
        raise ConfigError(begins, "name one")
    return found[0]


def unknown_run(name: str, run_ids: Sequence[str]) -> ConfigError:
    """The error for a run that isn't there, with the nearest that are."""
    near = difflib.get_close_matches(name, run_ids, n=3, cutoff=0.5) or run_ids[-3:]
    expected = f"expected for example {', '.join(near)}" if near else "the pod has no runs"
    return ConfigError(f"run {safe(name, 80)}: unknown, {expected}", _CURES["unknown_run"])
