"""What is asked of the agent: run ids, command lines and specs."""

from __future__ import annotations

import json
import re
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import PurePosixPath
from typing import Any

from moola_remote import __version__
from moola_remote.config import Project
from moola_remote.errors import ConfigError
from moola_remote.screen import safe

GRACE_S = 10.0


@dataclass(frozen=True)
class TrainOptions:
    """What `train` changes in a recipe; None keeps the recipe's value."""

    epochs: int | None = None
    seed: int | None = None
    use_crf: bool = False
    settings: tuple[str, ...] = ()


def new_run_id(label: str) -> str:
    """``20261122-153012-jade-3f2a``: UTC time, what it is, and four random hex digits."""
    now = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
    return f"{now}-{label_of([label])}-{secrets.token_hex(2)}"


def label_of(command: Sequence[str]) -> str:
    """A word for a run id: the module of ``python -m``, else the program; ``[a-z0-9-]{1,24}``.

    Args:
        command: what is run; one word at least.

    >>> label_of(["python", "-m", "jobs.review", "--x"])
    'review'
    >>> label_of(["/bin/Some Tool"])
    'some-tool'
    """
    word = PurePosixPath(command[0]).name
    if word.startswith("python") and "-m" in command[1:-1]:
        word = command[command.index("-m") + 1].rpartition(".")[2]
    return re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-")[:24].strip("-") or "run"


def train_argv(project: Project, recipe: str, options: TrainOptions) -> list[str]:
    """The command line of a training run, as the pod will see it.

    Raises:
        ConfigError: no such recipe.
    """
    config = project.recipes / f"{recipe}.yaml"
    known = sorted(file.stem for file in (project.folder / project.recipes).glob("*.yaml"))
    if recipe not in known:
        raise ConfigError(
            f"recipe {recipe!r}: unknown, expected one of {', '.join(known) or 'none'}",
            f"choose with --recipe, or write {config}",
        )
    return [
        *("python", "-m", project.job, "--config", config.as_posix()),
        *(["--epochs", str(options.epochs)] if options.epochs is not None else []),
        *(["--seed", str(options.seed)] if options.seed is not None else []),
        *(["--use-crf"] if options.use_crf else []),
        *(word for setting in options.settings for word in ("--set", setting)),
    ]


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
