"""The settings that ``init`` writes: each key with a comment, set to what was found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from moola_remote.config.settings import OWN_FILE, PYPROJECT, TABLE
from moola_remote.errors import ConfigError
from moola_remote.files import atomic
from moola_remote.files.disk import unwritable

_HEAD = "# What `moola-remote` reads of this project; `moola-remote config show` has all keys."


@dataclass(frozen=True)
class Guess:
    """What a project looks like.

    Attributes:
        requirements: the file that declares its packages, and None where none does.
        data: the folders that look like data, by a name each.
        extras: of pyproject.toml; offered, none is chosen.
        groups: the dependency groups; offered, none is chosen.
        has_recipes: whether there is a folder of recipes for ``train``.
    """

    requirements: str | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    extras: Sequence[str] = ()
    groups: Sequence[str] = ()
    has_recipes: bool = False


def starter(guess: Guess, *, is_own_file: bool) -> str:
    """Return the table in TOML, for pyproject.toml or as a file of its own."""
    prefix = "" if is_own_file else "tool.moola-remote."
    lines = [_HEAD]
    lines += [] if is_own_file else [TABLE]
    lines += [
        *_key(
            "pod", "local", "which pod: `local` is this machine; others are files of configs/pods"
        ),
        *_key("results", "results", "where fetched runs go"),
        *_key(
            "requirements",
            guess.requirements or "requirements.txt",
            "what a job needs: requirements.txt, pyproject.toml or uv.lock",
            is_set=guess.requirements is not None,
        ),
        *_key("extras", list(guess.extras), "of pyproject.toml, installed beside", is_set=False),
        *_key("groups", list(guess.groups), "dependency groups, likewise", is_set=False),
        *_key("constraints", "constraints.txt", "versions that hold for all", is_set=False),
        *_key(
            "torch",
            "image",
            "`image` keeps the pod's own torch; `project` installs what the project asks for",
            is_set=False,
        ),
        *_key("job", "package.train", "of `train`: the module that is run", is_set=False),
        *_key("recipe", "base", "of `train`: a file of `recipes`", is_set=False),
        *_key("recipes", "configs/train", "its folder", is_set=guess.has_recipes),
        "",
        "# Each name becomes a folder under MOOLA_DATA_DIR on the pod; the first path that exists",
        "# is sent. Code is what git lists, so that data which git ignores has to be named here.",
    ]
    rows = [f"{_name(name)} = [{json.dumps(path)}]" for name, path in guess.data.items()]
    table = f"[{prefix}data]"
    lines += [table, *rows] if rows else [f"# {table}", '# train = ["data/train"]']
    return "\n".join(lines) + "\n"


def write_starter(folder: Path, guess: Guess) -> Path:
    """Write the settings of a project that has none; the file that they are in.

    They are added to pyproject.toml, or become moola-remote.toml where there is none. What is there
    stays as it is.

    Raises:
        ConfigError: the file can't be written.
    """
    pyproject, own = folder / PYPROJECT, folder / OWN_FILE
    try:
        if not pyproject.is_file():
            if own.exists():
                raise ConfigError(f"{own}: already exists", "moola-remote config show")
            atomic.write(own, starter(guess, is_own_file=True), mode=0o666)
            return own
        text = pyproject.read_bytes()
        gap = b"\n" if text.endswith(b"\n") or not text else b"\n\n"
        ours = starter(guess, is_own_file=False).encode()
        if b"\r\n" in text:
            gap, ours = gap.replace(b"\n", b"\r\n"), ours.replace(b"\n", b"\r\n")
        target, mode = pyproject.resolve(), pyproject.stat().st_mode
        atomic.write(target, text + gap + ours)
        target.chmod(mode)
    except OSError as err:
        raise unwritable(pyproject if pyproject.is_file() else own, err, ConfigError) from err
    return pyproject


def _key(name: str, value: object, comment: str, *, is_set: bool = True) -> list[str]:
    return [f"{'' if is_set else '# '}{name} = {json.dumps(value)}  # {comment}"]


def _name(name: str) -> str:
    plain = name.replace("-", "").replace("_", "")
    return name if plain.isascii() and plain.isalnum() else json.dumps(name)
