"""What a list of packages has of this machine's secrets: it goes to the pod beside the list.

In the list a name in pip's form stands for it, ``${MOOLA_CREDENTIALS_0}``, whose value pip and uv
put in themselves. So nothing that is stored or recorded of a list has a secret, and an environment
keeps its name when a token is renewed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote, unquote

from moola_remote.deploy.declared import Dependencies
from moola_remote.text.redact import remember

# As pip and uv read them in a list.
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
# The pod's; and in a list that was read before, ours.
_NOT_OURS = ("MOOLA_", "PROJECT_ROOT")
_ADDRESS = re.compile(r"[^\s'\"]+://[^\s'\"]+")
# Who asks, before the host. Over SSH a name alone is none: ``ssh://git@host``.
_USER = re.compile(
    r"(?:(?<=http://)|(?<=https://))[^\s/?#'\"]+(?=@)|(?<=://)[^\s/?#:'\"]+:[^\s/?#'\"]+(?=@)"
)
_STARS = "****"


def without_credentials(text: str) -> str:
    """Return a text with stars in place of those that stand in its addresses.

    >>> without_credentials("pip install git+https://me:token@example.org/a.git")
    'pip install git+https://****@example.org/a.git'
    """
    return _USER.sub(_STARS, text)


def take_credentials(needs: Dependencies, variables: Mapping[str, str]) -> Dependencies:
    """Return lists without secrets, beside what they stand for; it is struck out of what we print.

    Args:
        needs: what was declared.
        variables: of the user, as lists name them: ``${TOKEN}``. One that is not here is the pod's.
    """
    taken = _Taken(variables)
    made = replace(
        needs,
        requirements=taken.of_list(needs.requirements),
        constraints=taken.of_list(needs.constraints),
        without_torch=needs.without_torch and taken.of_list(needs.without_torch),
    )
    for value in taken.values.values():
        password = value.partition(":")[2]
        for form in (value, password, unquote(value), unquote(password)):
            if not _VARIABLE.search(form):  # the pod's
                remember(form)
    return replace(made, credentials=taken.values)


def with_index_credentials(
    text: str, named: Mapping[str, str], variables: Mapping[str, str]
) -> str:
    """Return a list in whose addresses of indexes those stand that uv takes from variables.

    Args:
        text: the list.
        named: the name of each index by its address.
        variables: ``UV_INDEX_NAME_USERNAME`` and ``UV_INDEX_NAME_PASSWORD``.
    """
    for address, name in named.items():
        prefix = f"UV_INDEX_{re.sub(r'[^A-Z0-9]', '_', name.upper())}"
        user, password = (variables.get(f"{prefix}_{end}", "") for end in ("USERNAME", "PASSWORD"))
        scheme, _, rest = address.partition("://")
        if (user or password) and "@" not in rest.partition("/")[0]:
            who = f"{quote(user, safe='')}:{quote(password, safe='')}".removesuffix(":")
            text = text.replace(f"-url {address}\n", f"-url {scheme}://{who}@{rest}\n")
    return text


class _Taken:
    """The secrets that are taken out of lists: `values`, each by the name that stands for it."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.values: dict[str, str] = {}
        self._variables = variables

    def of_list(self, text: str) -> str:
        """Return a list without them, and with the values of variables that are no part of one."""
        return _VARIABLE.sub(self._value, _ADDRESS.sub(self._of_address, text))

    def _of_address(self, found: re.Match[str]) -> str:
        address = _USER.sub(self._of_user, found[0], count=1)
        # A token in a path or a query; or a version, so that another value is another environment.
        return _VARIABLE.sub(self._of_variable, address)

    def _of_user(self, found: re.Match[str]) -> str:
        value = _VARIABLE.sub(self._value, found[0])
        known = {held: name for name, held in self.values.items()}
        return self._held(known.get(value) or f"MOOLA_CREDENTIALS_{len(known)}", value)

    def _of_variable(self, found: re.Match[str]) -> str:
        value = self._value(found)
        if value == found[0]:
            return value
        digest = hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()
        return self._held(f"MOOLA_VALUE_{digest[:8].upper()}", value)

    def _held(self, name: str, value: str) -> str:
        self.values[name] = value
        return f"${{{name}}}"

    def _value(self, found: re.Match[str]) -> str:
        is_ours = not found[1].startswith(_NOT_OURS)
        return self._variables.get(found[1], found[0]) if is_ours else found[0]
