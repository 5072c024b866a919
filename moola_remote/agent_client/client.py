"""The agent as the laptop calls it: sent when it is missing, asked by verbs."""

from __future__ import annotations

import contextlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from moola_remote.agent_client.answers import is_missing, read_answer, read_progress
from moola_remote.agent_client.interpreters import find_interpreter, is_unusable
from moola_remote.agent_client.program import agent_program
from moola_remote.config.paths import PodPaths
from moola_remote.errors import ConfigError, UnreachableError
from moola_remote.protocol.refusal import last_words, says_full
from moola_remote.text.sanitize import safe

if TYPE_CHECKING:
    from moola_remote.protocol.answers import PodInfo
    from moola_remote.ssh.transport import Channel, Completed, Transport


logger = logging.getLogger(__name__)
# Cut off, `cat` would see an end of file like any other: the size decides.
UPLOAD = (
    'umask 077; mkdir -p "$1" && cat >"$1/.$2.$$" && [ "$(wc -c <"$1/.$2.$$")" -eq "$3" ] '
    '&& mv "$1/.$2.$$" "$1/$2"'
)
# Of a user who may write there.
HOME = 'cd && [ -w . ] && printf %s "$HOME"'


class Agent:
    """Our program on the pod.

    Args:
        transport: the connection.
        root: the folder on the pod that is ours.
        python: its Python, 3.8 or newer.
        name: of the pod, for messages.
    """

    def __init__(
        self, transport: Transport, *, root: str, python: str = "python3", name: str = ""
    ) -> None:
        self.transport = transport
        self.where = f"pod {name}" if name else "pod"
        self.root = root
        self.python = python
        self.folder = PodPaths(PurePosixPath(root))
        self.digest, self._content = agent_program()
        self._path = self.folder.agent(self.digest)

    def argv(self, verb: str, *args: str) -> list[str]:
        """Return the command line of a verb: isolated, without site, it needs no package."""
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
        done = self._run(verb, args, data, timeout_s)
        if is_unusable(done):
            self._take_another_python()
            done = self._run(verb, args, data, timeout_s)
        logger.info("agent %s: %.0f ms", verb, 1000 * (time.monotonic() - started))
        return self.read_answer(done.stdout, done.returncode, done.stderr, verb)

    def read_answer(
        self, stdout: bytes, returncode: int, stderr: bytes, verb: str
    ) -> dict[str, Any]:
        """Return what a verb has answered, see the function; its errors name the pod."""
        return read_answer(stdout, returncode, stderr, what=f"agent {verb}", where=self.where)

    def _run(self, verb: str, args: Sequence[str], data: bytes, timeout_s: float) -> Completed:
        done = self.transport.run(self.argv(verb, *args), stdin=data, timeout_s=timeout_s)
        # An rc file may send stderr elsewhere, so that Python's words are not seen.
        is_silent = done.returncode == 2 and not (done.stdout or done.stderr)
        if is_silent or is_missing(done.returncode, done.stderr):
            self.upload()
            done = self.transport.run(self.argv(verb, *args), stdin=data, timeout_s=timeout_s)
        return done

    def _take_another_python(self) -> None:
        """Continue with another Python of the pod: this one is missing or too old."""
        found = find_interpreter(self.transport, self.python)
        logger.warning(
            "%s: %s is missing or older than 3.8; using %s (Python %s)",
            self.where,
            safe(self.python, 100),
            safe(found.path, 200),
            found.text,
        )
        self.python = found.path

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
            said = last_words(done.stderr)
            raise ConfigError(
                f"{self.where}: {safe(folder)} can't be written: {said or 'it arrived in part'}",
                self._other_root(said),
            )
        logger.info("agent %s: uploaded, %d bytes", self.digest, len(self._content))

    def _other_root(self, said: str) -> str:
        """Return what to do where nothing can be written below the root."""
        if not said:
            return "do it again"
        if says_full(said):
            return "make room on the pod, or name another `root` in the pod's file"
        asked = self.transport.run(["sh", "-c", HOME])
        home = asked.stdout.decode("utf-8", "replace")
        if asked.returncode != 0 or not home.startswith("/"):
            return "name a folder that this user may write as `root` in the pod's file"
        return f"in the pod's file: root: {safe(home, 200).rstrip('/')}/moola"

    def open(self, verb: str, *args: str) -> Channel:
        """Start a verb that is talked to while it runs; a missing agent shows at its end."""
        return self.transport.open(self.argv(verb, *args))

    def environment(
        self,
        digest: str,
        asked: Mapping[str, Any],
        *,
        say: Callable[[str], None],
        timeout_s: float = 600.0,
    ) -> dict[str, Any]:
        """Have the environment made where it is missing.

        Args:
            digest: its name.
            asked: ``requirements`` in pip's form, and the rest of docs/protocol.md.
            say: called with each line of progress, made safe.
            timeout_s: of silence.

        Returns:
            The agent's answer: ``created``, ``python``, ``packages``, ``torch``.
        """
        code, last = self._make_environment(digest, asked, say, timeout_s)
        if is_missing(code, last):
            self.upload()
            code, last = self._make_environment(digest, asked, say, timeout_s)
        return self.read_answer(last, code, last, "environment")

    def _make_environment(
        self, digest: str, asked: Mapping[str, Any], say: Callable[[str], None], timeout_s: float
    ) -> tuple[int, bytes]:
        # One stream for progress and answer: the order is then the pod's.
        both = ["sh", "-c", 'exec "$@" 2>&1', "sh", *self.argv("environment", digest)]
        channel = self.transport.open(both)
        try:
            # Where there is no agent yet the command is over before it reads; its output says so.
            with contextlib.suppress(UnreachableError):
                channel.write(json.dumps(dict(asked)).encode())
                channel.close_stdin()
            last = read_progress(channel, say, timeout_s)
            return channel.returncode(timeout_s), last
        finally:
            channel.close()


def probe(
    agent: Agent,
    *,
    lists: str | None = None,
    reserve: Mapping[str, str | None] = {},
    link: Mapping[str, Any] | None = None,
    timeout_s: float = 60.0,
) -> PodInfo:
    """Return what is on the pod.

    Args:
        agent: the pod's agent.
        lists: of packages (`Dependencies.lists`), whose environment is looked for too.
        reserve: digests of code and data by kind; those that are on the pod are left by every
            client's `clean` until the run that is about to be started. So is the environment.
        link: the request of ``link`` for a tree of code, which is made first where it can be.
        timeout_s: for all of that.

    Raises:
        MoolaError: it can't be asked, or answers with something else.
    """
    from moola_remote.protocol.answers import PodInfo
    from moola_remote.protocol.types import read_answer_as

    asked: dict[str, Any] = {} if lists is None else {"environment": lists}
    wanted = {kind: digest for kind, digest in reserve.items() if digest}
    asked |= {"reserve": wanted} if wanted else {}
    asked |= {"link": link} if link else {}
    answer = agent.call("probe", stdin=asked, timeout_s=timeout_s)
    return read_answer_as(PodInfo, answer, "probe")
