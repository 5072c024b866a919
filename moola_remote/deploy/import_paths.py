"""Where a project's own packages lie, which at home an installation provides: as each build has it.

Read from setuptools (pyproject.toml, setup.cfg, setup.py), Poetry, Hatch, PDM, uv, maturin and
scikit-build.
"""

from __future__ import annotations

import configparser
import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from moola_remote.deploy.declared import PYPROJECT, Reader

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# Each names folders that hold packages.
FOLDERS = (
    *("setuptools.packages.find.where", "hatch.build.targets.wheel.sources", "hatch.build.sources"),
    *("pdm.build.package-dir", "uv.build-backend.module-root", "maturin.python-source"),
)
# Each names packages, by their folders.
PACKAGES = ("hatch.build.targets.wheel.packages", "scikit-build.wheel.packages")
# Of a program, what it says in so many words.
_IN_SETUP = re.compile(
    r"""package_dir\s*=\s*\{\s*(?:""|'')\s*:\s*["']([^"']+)|packages\(\s*(?:where\s*=\s*)?["']([^"']+)"""
)


def import_paths(folder: PurePosixPath, read: Reader, *, is_installed: bool = False) -> list[str]:
    """Return the folders, below the project, from which its packages are imported.

    Nothing for a project that is not built: its scripts find what lies beside them.

    Args:
        folder: of the package, below the project.
        read: reads a file of the project.
        is_installed: it is named as what is to be installed, so that it is built in any case.
    """
    tables: dict[str, Any] = {}
    with contextlib.suppress(ValueError, RecursionError):  # its reader raises the error
        tables = tomllib.loads(read(folder / PYPROJECT) or "")
    program, settings = read(folder / "setup.py"), _sections(read(folder / "setup.cfg") or "")
    is_built = "build-system" in tables or program is not None or settings.has_section("options")
    if not (is_built or is_installed):
        return []
    found = [*_of_tables(tables), *_of_settings(settings), *_of_program(program or "")]
    inside = [one for one in map(PurePosixPath, found) if _is_inside(one)]
    places = [*(inside or [PurePosixPath("src")]), PurePosixPath()]
    return list(dict.fromkeys(str(folder / place) for place in places))


def _of_tables(tables: dict[str, Any]) -> Iterator[str]:
    tool = tables.get("tool")
    for key in FOLDERS:
        yield from _words(_at(tool, key))
    for key in PACKAGES:
        yield from (str(PurePosixPath(word).parent) for word in _words(_at(tool, key)))
    yield from _words(_at(_at(tool, "setuptools.package-dir"), ""))
    packages = _at(tool, "poetry.packages")
    for one in packages if isinstance(packages, list) else []:
        yield from _words(_at(one, "from"))


def _of_settings(settings: configparser.ConfigParser) -> Iterator[str]:
    yield from settings.get("options.packages.find", "where", fallback="").split()
    for line in settings.get("options", "package_dir", fallback="").splitlines():
        package, _, place = line.partition("=")
        if place and not package.strip():
            yield place.strip()


def _of_program(text: str) -> Iterator[str]:
    yield from (found[1] or found[2] for found in _IN_SETUP.finditer(text))


def _sections(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    with contextlib.suppress(configparser.Error):
        parser.read_string(text)
    return parser


def _at(table: Any, key: str) -> Any:
    for word in key.split("."):
        table = table.get(word) if isinstance(table, dict) else None
    return table


def _words(value: Any) -> list[str]:
    values = value if isinstance(value, (list, dict)) else [value]
    return [one for one in values if isinstance(one, str) and one]


def _is_inside(path: PurePosixPath) -> bool:
    return not path.is_absolute() and ".." not in path.parts
