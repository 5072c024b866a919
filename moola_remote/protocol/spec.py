"""What is asked of the agent: run ids, command lines and specs."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    Field,
    ModelWrapValidatorHandler,
    PlainValidator,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from moola_remote import __version__
from moola_remote.errors import ConfigError
from moola_remote.protocol.label import slug
from moola_remote.protocol.types import Name, Remote, Text, fault_of
from moola_remote.text.sanitize import safe, safe_lines

MAX_BLOCK = 1 << 19

MAX_WORDS = 10_000
MAX_WORD = 1 << 17  # that of Linux for one argument
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40,64}$")]
Block = Annotated[
    str, Field(max_length=MAX_BLOCK), AfterValidator(lambda text: "\n".join(safe_lines(text)))
]
GRACE_S = 10.0


def _word(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_WORD:
        raise ValueError(f"expected a text of at most {MAX_WORD} characters")
    return value


# Run again as it is: not cut, with bytes that are no UTF-8 (surrogates, which pydantic's own str
# refuses), and made safe where it is shown.
Word = Annotated[str, PlainValidator(_word)]


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


def who_asks() -> dict[str, Any]:
    """Return the part of a spec that says where it comes from."""
    return {"client": {"version": __version__, "host": socket.gethostname()}}


def new_run_id(label: str) -> str:
    """``20261122-153012-jade-3f2a``: UTC time, what it is, and four random hex digits."""
    now = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
    return f"{now}-{slug(label) or 'run'}-{secrets.token_hex(2)}"


class Spec(Remote):
    """``spec.json``: what is asked for, or was asked for; built, read and checked here alone.

    The fields are safe to show and to act on. `whole` is what was built or read, to the letter and
    with the keys of other versions; it is what travels.
    """

    run_id: Name
    argv: Annotated[list[Word], Field(min_length=1, max_length=MAX_WORDS)]
    code: Digest | None = None
    data: Digest | None = None
    environment: Digest | None = None
    recipe: Name | None = None
    gpu: int | None = None
    gpus: Annotated[int, Field(ge=1, le=64)] | None = None
    env: dict[Name, Word] = Field(default={}, max_length=1000)
    packages: dict[Name, Name] = Field(default={}, max_length=10_000)
    source: Source | None = None
    machine: Machine = Machine()
    secret_names: list[Name] = Field(default=[], max_length=100)
    replay_of: Name | None = None
    parent: Name | None = None
    sweep: Name | None = None
    trial: Annotated[int, Field(ge=0)] | None = None
    price_per_hour: float | None = None
    on_finish: Word | None = Field(default=None, exclude=True)
    limits: dict[Name, float | None] | None = Field(default=None, exclude=True)
    _whole: dict[str, Any] = PrivateAttr(default={})

    @model_validator(mode="wrap")
    @classmethod
    def _keep_whole(cls, value: Any, handler: ModelWrapValidatorHandler[Spec]) -> Spec:
        spec = handler(value)
        if isinstance(value, dict):
            spec._whole = dict(value)
        return spec

    @classmethod
    def new(
        cls,
        run_id: str,
        argv: Sequence[str],
        *,
        trees: Mapping[str, str | None],
        **more: Any,
    ) -> Spec:
        """Build the spec of a run.

        Args:
            run_id: of the run.
            argv: its command.
            trees: the digests of code, data and environment.
            more: further keys of docs/protocol.md, in place of their defaults.

        Raises:
            ConfigError: a value is out of bounds.
        """
        return cls._checked(
            {
                "schema": 1,
                "run_id": run_id,
                "argv": list(argv),
                "env": {},
                **trees,
                "gpu": None,
                "recipe": None,
                "grace_s": GRACE_S,
                **who_asks(),
                "limits": {"max_time_s": None, "max_cost_usd": None, "idle_stop_s": None},
                "on_finish": None,
                **more,
            },
            f"run {run_id}",
        )

    @classmethod
    def read(cls, content: bytes, where: str) -> Spec:
        """Return the spec of a run that was begun, in part or in whole by others.

        Args:
            content: of ``spec.json``.
            where: it comes from, for the error.

        Raises:
            ConfigError: it is none.
        """
        try:
            return cls.model_validate(json.loads(content))
        except ValueError as err:
            raise ConfigError(f"{safe(where)}: not the spec of a run") from err

    @property
    def whole(self) -> dict[str, Any]:
        """The spec as it travels, with every key."""
        return dict(self._whole)

    def changed(self, **keys: Any) -> Spec:
        """Return this spec with other values.

        Raises:
            ConfigError: a value is out of bounds.
        """
        return self._checked({**self._whole, **keys}, f"run {self.run_id}")

    @classmethod
    def _checked(cls, table: dict[str, Any], where: str) -> Spec:
        try:
            return cls.model_validate(table)
        except ValidationError as err:
            key, wrong = fault_of(err)
            raise ConfigError(f"{where}: spec: {key}: {wrong}") from err
