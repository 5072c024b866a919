"""The name of a pod of ours: whose it is, for which file, until when, and a word of its own.

RunPod knows no owner, no tag and no timer, and a create has no key against being done twice: the
name is all that stands for them.
"""

from __future__ import annotations

import getpass
import re
import secrets
import socket
from dataclasses import dataclass
from datetime import datetime, timezone

_FORM = "%Y%m%dt%H%M%Sz"
_NAME = re.compile(r"moola-([a-z0-9]{1,24})-([A-Za-z0-9._-]{1,64})-(\d{8}t\d{6}z)-([0-9a-f]{8})")


@dataclass(frozen=True)
class PodName:
    """``moola-<owner>-<pod's file>-<deadline, UTC>-<8 hex digits>``."""

    owner: str
    pod: str
    deadline: datetime
    token: str

    def __str__(self) -> str:
        return f"moola-{self.owner}-{self.pod}-{self.deadline.strftime(_FORM)}-{self.token}"

    @classmethod
    def new(cls, owner: str, pod: str, deadline: datetime) -> PodName:
        """Return a name that no pod has had."""
        return cls(owner, pod, deadline.replace(microsecond=0), secrets.token_hex(4))

    @classmethod
    def parse(cls, name: str) -> PodName | None:
        """Return what a name says; None where it is none of ours."""
        found = _NAME.fullmatch(name)
        if not found:
            return None
        try:
            deadline = datetime.strptime(found[3], _FORM).replace(tzinfo=timezone.utc)
        except ValueError:
            return None
        return cls(found[1], found[2], deadline, found[4])


def owner_of_this_machine() -> str:
    """Return who we are in the names of pods: user and host, ``[a-z0-9]``."""
    word = re.sub(r"[^a-z0-9]", "", f"{getpass.getuser()}{socket.gethostname()}".lower())
    return word[:24] or "somebody"
