"""The word of a run's id that says what it is: from its script and what it was given."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

MAX_LABEL = 24
# They start a script in the folder that they are in.
_INTERPRETERS = {"accelerate", "bash", "deepspeed", "sh", "torchrun"}
# They start the program that is meant.
_LAUNCHERS = _INTERPRETERS | {"env", "nohup", "poetry", "uv"}
_VERBS = {"launch", "run"}
_SCRIPT = re.compile(r".+\.(?:py|sh|ipynb)$")
# Of an interpreter: its next word is no file's name.
_TEXT = re.compile(r"-[a-zA-Z]*c$")
# Not of one letter: what `-m` means is the program's to say.
_OPTION = re.compile(r"--?([A-Za-z][\w.-]+)(?:=(.*))?$")
_SETTING = re.compile(r"\+{0,2}([A-Za-z][\w./@-]*)=(.*)$")
_VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,11}$|-[0-9][0-9.e-]{0,10}$")


def label_of(command: Sequence[str]) -> str:
    """Return a word for a run id: ``[a-z0-9-]{1,24}``.

    It is the module of ``python -m``, else the script, else the program; and behind it what it was
    given, as long as that is short.

    Args:
        command: what is run; one word at least.

    >>> label_of(["python", "-m", "jobs.review", "--x"])
    'review'
    >>> label_of(["/bin/Some Tool"])
    'some-tool'
    >>> label_of(["python", "train.py", "--lr", "3e-3"])
    'train-lr3e-3'
    >>> label_of(["torchrun", "--nproc-per-node", "2", "src/fit.py", "model.depth=4"])
    'fit-depth4'
    """
    index, word = _program(command)
    label = slug(word) or "run"
    for key, value in _given(command[index + 1 :]):
        longer = f"{label}-{slug(key + value)}"
        if len(longer) > MAX_LABEL:
            break
        label = longer
    return label


def slug(text: str) -> str:
    """Return a text as a part of an id: lower case, digits and dashes; 0 to 24 characters.

    >>> slug("My run, the 2nd")
    'my-run-the-2nd'
    >>> slug("Größe: naïve")
    'grosse-naive'
    """
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:MAX_LABEL].strip("-")


def script_of(command: Sequence[str]) -> str | None:
    """Return the script that a command starts, a path below the folder it starts in.

    None where it starts none, or where that can't be known: an absolute path, a path that leads
    out, a launcher that may change the folder.

    >>> script_of(["python", "-u", "./src/train.py", "--epochs", "3"])
    'src/train.py'
    >>> script_of(["bash", "-lc", "cd src && python train.py"])
    """
    first = PurePosixPath(command[0]).name
    word = None
    if first.startswith("python") or first in _INTERPRETERS:
        index, _ = _program(command)
        if 0 < index < len(command) and command[index - 1] != "-m":
            word = command[index]
    elif "/" in command[0]:
        word = command[0]
    if word is None or word.startswith("/"):
        return None
    path = posixpath.normpath(word)
    return None if path.startswith("..") else path


def _program(command: Sequence[str]) -> tuple[int, str]:
    """Return where the program stands in a command line, and its name."""
    first = PurePosixPath(command[0]).name
    if first.startswith("python") or first in _LAUNCHERS:
        for index, word in enumerate(command[1:], start=1):
            if word == "-m" and index + 1 < len(command):
                return index + 1, command[index + 1].rpartition(".")[2]
            if _TEXT.match(word):
                break
            if _SCRIPT.match(word):
                return index, PurePosixPath(word).stem
        plain = [
            (index, word)
            for index, word in enumerate(command[1:], start=1)
            if not word.startswith("-") and word not in _VERBS and "=" not in word
        ]
        if first in _LAUNCHERS and first not in ("bash", "sh") and plain:
            index, word = plain[0]
            return index, PurePosixPath(word).name
        return len(command), first
    script = PurePosixPath(command[0])
    return 0, script.stem if _SCRIPT.match(first) else first


def _given(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Options and settings with a short value; the last part of the key says which."""
    for index, word in enumerate(words):
        option, setting = _OPTION.match(word), _SETTING.match(word)
        if option:
            value = option[2]
            if value is None and index + 1 < len(words):
                value = words[index + 1]
            key = option[1]
        elif setting:
            key, value = setting[1], setting[2]
        else:
            continue
        if value is not None and _VALUE.match(value) and not _OPTION.match(value):
            yield re.split(r"[./@]", key)[-1], value
