"""Programs of the pod's own Python, such as pip and torchrun, as an environment over it runs them.

Each names the Python that it was installed for, so that what the environment adds to that one's
packages is out of its sight, and what it installs goes elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from pathlib import Path
from typing import List

DESCRIBE_FOLDERS = """
import json, os, sys, sysconfig
print(json.dumps([sysconfig.get_path("scripts"), os.path.dirname(sys.executable)]))
"""
# pip writes it where the path of Python is too long for the first line, or has a blank in it.
TRAMPOLINE = b"'''exec' "
START_BYTES = 1024


def add_scripts(environment: Path, base: str, folders: List[str]) -> None:
    """Put each program of the base that the environment has none of into its ``bin``.

    Args:
        environment: its folder, with all its packages.
        base: the base's Python, without links.
        folders: where the base's programs are.
    """
    programs = environment / "bin"
    for name in ("pip", "pip3"):  # the base may have pip, and no program of it
        _write(programs / name, "-m pip")
    for folder in dict.fromkeys(folders):
        with contextlib.suppress(OSError):
            for script in sorted(Path(folder).iterdir()):
                if python_of(script) == base:
                    _write(programs / script.name, shlex.quote(str(script)))


def _write(program: Path, words: str) -> None:
    """Write a program that runs the Python beside it with `words`, unless there is one."""
    if not os.path.lexists(program):
        # The kernel takes a path of 127 bytes at most, with no blank; a shell finds its own.
        text = f'#!/bin/sh\nexec "${{0%/*}}/python" {words} "$@"\n'
        program.write_text(text, encoding="utf-8")
        program.chmod(0o755)


def python_of(script: Path) -> str:
    """Return the program that its first line names, without links; empty for what is no script."""
    try:
        with script.open("rb") as file:
            start = file.read(START_BYTES)
    except OSError:
        return ""
    lines = start.split(b"\n")
    if not lines[0].startswith(b"#!"):
        return ""
    words = lines[0][2:]
    if len(lines) > 1 and lines[1].startswith(TRAMPOLINE):
        words = lines[1][len(TRAMPOLINE) :]
    try:
        return os.path.realpath(shlex.split(os.fsdecode(words))[0])
    except (ValueError, IndexError):  # a quote without its end, no word
        return ""
