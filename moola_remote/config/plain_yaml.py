"""YAML of the plainest form, read without PyYAML, whose import costs a tenth of a command.

A pod's file is mostly a key and a word a line. Whatever is more than that is left to PyYAML.
"""

from __future__ import annotations

import re

_LINE = re.compile(
    r"(?P<key>[A-Za-z_]+): +"
    r"(?:(?P<word>(?:[A-Za-z]|~?/)(?:[\w.~@+:/-]*[\w/+])?|\d{1,3}(?:\.\d{1,3}){3})"
    r"|(?P<whole>0|[1-9]\d{0,8})|(?P<real>\d{1,6}\.\d{1,6}))"
    r"(?: +#[ -~]*| *)",
    re.ASCII,
)
_COMMENT = re.compile(r"(?: *#[ -~]*| *)", re.ASCII)
# What YAML takes for a truth value, or for nothing.
_NO_WORDS = frozenset({"yes", "no", "true", "false", "on", "off", "null", "y", "n"})


def read_plain(text: str) -> dict[str, str | int | float] | None:
    """Return what PyYAML would make of `text`; None where that is not plain to see."""
    table: dict[str, str | int | float] = {}
    for line in text.split("\n"):
        if _COMMENT.fullmatch(line):
            continue
        found = _LINE.fullmatch(line)
        if found is None or not _NO_WORDS.isdisjoint(
            (found["key"].lower(), (found["word"] or "").lower())
        ):
            return None
        if found["word"]:
            table[found["key"]] = found["word"]
        else:
            table[found["key"]] = int(found["whole"]) if found["whole"] else float(found["real"])
    return table or None
