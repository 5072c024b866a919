"""What ``~``, ``%`` tokens and ``${NAME}`` stand for in a user's SSH configuration."""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path

from moola_remote.errors import ConfigError
from moola_remote.text.sanitize import safe


def tokens_of(
    host: str, hostname: str, port: str, user: str, *, key_alias: str = "", digest: str = ""
) -> dict[str, str]:
    """Return what each ``%`` token stands for, without ``%``; ``%j`` without a jump.

    Args:
        host: as the user names it.
        hostname: that it leads to.
        port: of its SSH server.
        user: there.
        key_alias: HostKeyAlias, if that is set.
        digest: ``%C`` as ssh has it, of which newer versions count the jump as well.
    """
    name = socket.gethostname()
    old = hashlib.sha1(f"{name}{hostname}{port}{user}".encode(), usedforsecurity=False).hexdigest()
    return {
        "%": "%",
        "C": digest or old,
        "d": str(Path.home()),
        "h": hostname,
        "i": str(os.getuid()),
        "j": "",
        "k": key_alias or host,
        "L": name.partition(".")[0],
        "l": name,
        "n": host,
        "p": port,
        "r": user,
        "u": getpass.getuser(),
    }


def expand(value: str, tokens: Mapping[str, str]) -> str:
    """Expand ``~``, ``%`` tokens and ``${NAME}`` as ssh_config(5) has them.

    Raises:
        ConfigError: a token that is not known here.
    """

    def token(match: re.Match[str]) -> str:
        try:
            return tokens[match[1]] if match[1] else os.environ[match[2]]
        except KeyError as err:
            raise ConfigError(
                f"ssh configuration: {safe(match[0], 40)} in {safe(value, 200)}: unknown here",
                "write the value itself",
            ) from err

    home = str(Path.home())
    value = home + value[1:] if value == "~" or value.startswith("~/") else value
    return re.sub(r"%(.)|\$\{(\w+)\}", token, value)
