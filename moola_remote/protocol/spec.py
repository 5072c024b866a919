"""What is asked of the agent: run ids, command lines and specs."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from msgspec import Meta, structs

from moola_remote import __version__
from moola_remote.config.typed import WrongValueError, read_by, read_json, typed
from moola_remote.errors import ConfigError
from moola_remote.protocol.answers import Packages
from moola_remote.protocol.label import slug
from moola_remote.protocol.types import Name, Remote, Text, by_name
from moola_remote.text.sanitize import safe, safe_lines

MAX_BLOCK = 1 << 19

MAX_WORDS = 10_000
MAX_WORD = 1 << 17  # that of Linux for one argument
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{8,64}\Z")]
Commit = Annotated[str, Meta(pattern=r"^[0-9a-f]{40,64}\Z")]
GRACE_S = 10.0
_drawn: set[str] = set()
_drawing = threading.Lock()


def _block(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_BLOCK:
        raise ValueError(f"expected a text of at most {MAX_BLOCK} characters")
    return "\n".join(safe_lines(value))


def _word(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_WORD:
        raise ValueError(f"expected a text of at most {MAX_WORD} characters")
    return value


# A word is run again as it is: not cut, with surrogates for bytes that are no UTF-8, and made safe
# where it is shown.
if TYPE_CHECKING:
    Block: TypeAlias = str
    Word: TypeAlias = str
    Environment: TypeAlias = dict[str, str]
else:
    Block = read_by(_block, str)
    Word = read_by(_word, str)
    Environment = by_name(Word, 1000)


class Source(Remote, frozen=True):
    """The state of git where a run came from; `diff` is that of the tracked files."""

    commit: Commit | None = None
    branch: Text | None = None
    dirty: bool = False
    diff: Block = ""


class Machine(Remote, frozen=True):
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
    """``20261122-153012-jade-3f2a``: UTC time, what it is, and four random hex digits.

    No process is given an id twice: of one second and label there are only 65,536, and a sweep or a
    prediction over several pods asks for some at once.
    """
    with _drawing:
        while True:
            now = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
            run_id = f"{now}-{slug(label) or 'run'}-{secrets.token_hex(2)}"
            if run_id not in _drawn:
                _drawn.add(run_id)
                return run_id


class Spec(Remote, frozen=True, kw_only=True, dict=True):
    """``spec.json``: what is asked for, or was asked for; built, read and checked here alone.

    The fields are safe to show and to act on. `whole` is what was built or read, to the letter and
    with the keys of other versions; it is what travels.
    """

    run_id: Name
    argv: Annotated[list[Word], Meta(min_length=1, max_length=MAX_WORDS)]
    code: Digest | None = None
    data: Digest | None = None
    environment: Digest | None = None
    recipe: Name | None = None
    gpu: int | None = None
    gpus: Annotated[int, Meta(ge=1, le=64)] | None = None
    env: Environment = {}
    packages: Packages = {}
    source: Source | None = None
    machine: Machine = Machine()
    secret_names: Annotated[list[Name], Meta(max_length=100)] = []
    replay_of: Name | None = None
    parent: Name | None = None
    sweep: Name | None = None
    trial: Annotated[int, Meta(ge=0)] | None = None
    price_per_hour: float | None = None
    on_finish: Word | None = None
    limits: dict[str, float | None] | None = None

    @classmethod
    def of(cls, table: Any) -> Spec:
        """Return the spec that a table is, which it keeps to the letter.

        Raises:
            WrongValueError: it is none.
        """
        spec = typed(cls, table)
        structs.force_setattr(spec, "_whole", dict(table))
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
            return cls.of(read_json(content))
        except ValueError as err:
            raise ConfigError(f"{safe(where)}: not the spec of a run") from err

    @property
    def whole(self) -> dict[str, Any]:
        """The spec as it travels, with every key."""
        return dict(vars(self)["_whole"])

    def changed(self, **keys: Any) -> Spec:
        """Return this spec with other values.

        Raises:
            ConfigError: a value is out of bounds.
        """
        return self._checked({**self.whole, **keys}, f"run {self.run_id}")

    @classmethod
    def _checked(cls, table: dict[str, Any], where: str) -> Spec:
        try:
            return cls.of(table)
        except WrongValueError as fault:
            raise ConfigError(f"{where}: spec: {fault}") from fault
