"""What is asked of the agent: run ids, command lines and specs."""

from __future__ import annotations

import json
import re
import secrets
import socket
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from moola_remote import __version__
from moola_remote.errors import ConfigError
from moola_remote.protocol.label import slug
from moola_remote.protocol.types import Name, Remote, Text
from moola_remote.text.sanitize import safe, safe_lines

MAX_BLOCK = 1 << 19

MAX_WORDS = 10_000
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40,64}$")]
Block = Annotated[
    str, Field(max_length=MAX_BLOCK), AfterValidator(lambda text: "\n".join(safe_lines(text)))
]
# Run again as it is: not cut, and made safe where it is shown.
Word = Annotated[str, Field(max_length=100_000)]


class Source(Remote):
    """The state of git where a run came from; `diff` is that of the tracked files."""

    commit: Commit | None = None
    branch: Text | None = None
    dirty: bool = False
    diff: Block = ""


class Machine(Remote):
    """What the run was to run on, as deploy saw it; `packages` is a digest of their versions."""

    python: Name | None = None
    packages: Name | None = None
    torch: Name | None = None
    cuda: Name | None = None
    device: Text | None = None


class Spec(Remote):
    """``spec.json``: what was asked for."""

    run_id: Name
    argv: Annotated[list[Word], Field(min_length=1, max_length=MAX_WORDS)]
    code: Digest | None = None
    data: Digest | None = None
    environment: Digest | None = None
    recipe: Name | None = None
    gpu: int | None = None
    gpus: Annotated[int, Field(ge=1, le=64)] | None = None
    env: dict[Name, Word] = Field(default={}, max_length=1000)
    outputs: list[Name] = Field(default=[], max_length=50)
    packages: dict[Name, Name] = Field(default={}, max_length=10_000)
    source: Source | None = None
    machine: Machine = Machine()
    secret_names: list[Name] = Field(default=[], max_length=100)
    replay_of: Name | None = None
    parent: Name | None = None
    price_per_hour: float | None = None


GRACE_S = 10.0


def new_run_id(label: str) -> str:
    """``20261122-153012-jade-3f2a``: UTC time, what it is, and four random hex digits."""
    now = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
    return f"{now}-{slug(label) or 'run'}-{secrets.token_hex(2)}"


def make_spec(
    run_id: str,
    argv: Sequence[str],
    *,
    trees: dict[str, str | None],
    recipe: str | None = None,
    gpu: int | None = None,
    **more: Any,
) -> dict[str, Any]:
    """The spec of docs/protocol.md; `trees` has the digests of code, data and environment."""
    return {
        "schema": 1,
        "run_id": run_id,
        "argv": list(argv),
        "env": {},
        **trees,
        "gpu": gpu,
        "recipe": recipe,
        "grace_s": GRACE_S,
        **who_asks(),
        "limits": {"max_time_s": None, "max_cost_usd": None, "idle_stop_s": None},
        "on_finish": None,
        **more,
    }


def who_asks() -> dict[str, Any]:
    """The part of a spec that says where it comes from."""
    return {"client": {"version": __version__, "host": socket.gethostname()}}


def read_spec(content: bytes, where: str) -> dict[str, Any]:
    """The spec of a run that was begun, in part or in whole by others: what we use of it is right.

    Args:
        content: of ``spec.json``.
        where: it comes from, for the error.

    Raises:
        ConfigError: it is none.
    """
    spec: Any = None
    try:
        spec = json.loads(content)
        argv, trees = spec["argv"], [spec.get(kind) for kind in ("code", "data", "environment")]
        is_good = isinstance(argv, list) and len(argv) > 0
        is_good &= all(isinstance(word, str) for word in argv)
        is_good &= all(one is None or re.fullmatch(r"[0-9a-f]{8,64}", one) for one in trees)
    except (ValueError, TypeError, KeyError, AttributeError):
        is_good = False
    if not is_good:
        raise ConfigError(f"{safe(where)}: not the spec of a run")
    return dict(spec)
