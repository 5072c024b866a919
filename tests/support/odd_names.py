"""File names that shells, rsync and lists of rules take for something else; all are UTF-8."""

from __future__ import annotations

ODD_NAMES = [
    "a b",
    "it's",
    '"q"',
    "-rf",
    "new\nline",
    "ä→😀",
    "$HOME",
    "#c",
    "!x",
    ";c",
    "*",
    "[a]",
    "\\",
]
