"""The answers of a verb: one JSON line, or a refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from moola_remote.errors import UnreachableError
from moola_remote.protocol.refusal import MAX_LINE, last_words, refusal
from moola_remote.text.sanitize import safe

if TYPE_CHECKING:
    from moola_remote.ssh.transport import Channel
MAX_PENDING = 4 * 2**20


def read_progress(channel: Channel, say: Callable[[str], None], timeout_s: float) -> bytes:
    """Say each line of a stream up to the answer, or what stands for one, which is returned."""
    pending = b""
    while part := channel.read(1 << 16, timeout_s):
        *lines, pending = (pending + part).split(b"\n")
        # Without an end, a line is not readable progress.
        pending = pending[-MAX_PENDING:]
        for line in lines:
            if line.startswith(b'{"ok"') or b"can't open file" in line:
                return line
            say(safe(line.decode("utf-8", "replace"), MAX_LINE))
    return pending


def is_missing(returncode: int, stderr: bytes) -> bool:
    """Return whether Python says that there is no such program."""
    return returncode == 2 and b"can't open file" in stderr


def read_answer(
    stdout: bytes, returncode: int, stderr: bytes, *, what: str, where: str = "pod"
) -> dict[str, Any]:
    """Return the JSON line that a verb printed; `where` is the pod, in an error.

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
        raise refusal(answer, where)
    return answer
