"""The words of a command line that was copied from a page or a terminal."""

from __future__ import annotations

import re
import shlex
from pathlib import PurePosixPath

from moola_remote.errors import ConfigError

# What word processors and pages make of quotes and blanks.
_TYPOGRAPHY = str.maketrans(
    {"\u201c": '"', "\u201d": '"', "\u2018": "'", "\u2019": "'", "\xa0": " "}
)
_DASH = re.compile(r"(?<=\s)[\u2010-\u2014\u2212](?=\w)")
_CONTINUED = re.compile(r"\\\s*?\r?\n")
_PROMPT = re.compile(r"\S*[$#%>]")
_VARIABLE = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
_BLOCK = re.compile(r"\s*Host[ \t=]+(\S+)[^\n]*\n\s*[A-Za-z]+[ \t=]", re.IGNORECASE)


def split_pasted(text: str) -> list[str]:
    r"""Split a command line as a shell does, without what came along when it was copied.

    Line breaks behind a backslash, a prompt, variables in front, a comment and the path of ``ssh``
    go; typographic quotes and dashes are what they were.

    Raises:
        ValueError: a quote is open.
        ConfigError: it is a block of a configuration file, or logs in by a password.

    >>> split_pasted("root@laptop:~$ LANG=C /usr/bin/ssh h \u2013p 22")
    ['ssh', 'h', '-p', '22']
    """
    block = _BLOCK.match(text)
    if block:
        raise ConfigError(
            f"Host {block[1]}: a block of a configuration file, expected a command or an alias",
            f"append it to ~/.ssh/config, then: moola-remote pods add {shlex.quote(block[1])}",
        )
    words = shlex.split(_DASH.sub("-", _CONTINUED.sub(" ", text).translate(_TYPOGRAPHY)))
    if len(words) > 1 and _PROMPT.fullmatch(words[0]):
        del words[0]
    if "#" in words[1:]:
        del words[words.index("#", 1) :]
    while len(words) > 1 and _VARIABLE.fullmatch(words[0]):
        del words[0]
    if words[:1] == ["sshpass"]:
        raise ConfigError(
            "sshpass: logs in by a password, expected a key",
            "ssh-copy-id puts your key there; then paste the command from `ssh` on",
        )
    if words and PurePosixPath(words[0]).name.lower() in ("ssh", "ssh.exe"):
        words[0] = "ssh"
    return words
