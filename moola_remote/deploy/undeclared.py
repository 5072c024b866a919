"""Files in which a project declares packages in a form that is not read here, with the way out."""

from __future__ import annotations

import re
import shlex
from pathlib import Path, PurePosixPath

from moola_remote.deploy.declared import PYPROJECT, SETTINGS, Reader

_FREEZE = "in its environment: pip list --format=freeze > requirements.txt"
_WRITE = "write its install_requires into requirements.txt"
_CONDA = (
    *("environment.yml", "environment.yaml", "conda.yml", "conda.yaml"),
    *("conda-lock.yml", "pixi.lock", "pixi.toml"),
)
_LISTS = (
    *("requirements/base.txt", "requirements/train.txt", "requirements/requirements.txt"),
    *("requirements-train.txt", "requirements_train.txt", "requirements-dev.txt"),
)
# Each with what makes a list in pip's form of it.
_CURES = {
    "pylock.toml": "uv export or pip-compile makes a requirements.txt of what it was made of",
    "poetry.lock": "poetry export -o requirements.txt",
    "pdm.lock": "pdm export -o requirements.txt",
    "Pipfile.lock": "pipenv requirements > requirements.txt",
    "Pipfile": "pipenv lock, then pipenv requirements > requirements.txt",
    **dict.fromkeys(_CONDA, _FREEZE),
    "requirements.in": "pip-compile, or name it as `requirements`",
    **dict.fromkeys(_LISTS, f"name it as `requirements` in {SETTINGS}"),
}
# Of these it is a word that declares; without it they only configure.
_WORDS = (
    ("setup.cfg", re.compile("install_requires"), _WRITE),
    ("setup.py", re.compile("install_requires"), _WRITE),
    (
        str(PYPROJECT),
        re.compile(r"^\[tool\.flit\.metadata\]", re.MULTILINE),
        "write its `requires` into [project] dependencies",
    ),
    (
        str(PYPROJECT),
        re.compile(r"^\[tool\.pixi\.(.+\.)?(pypi-)?dependencies\]", re.MULTILINE),
        _FREEZE,
    ),
    (
        str(PYPROJECT),
        re.compile(r"^\[tool\.hatch\.envs\.[^\[]*^(extra-)?dependencies\s*=", re.MULTILINE),
        "hatch dep show requirements --all > requirements.txt",
    ),
)
# What has a build compile modules.
_BUILDS = {
    "setup.py": re.compile(
        r"^[^#\n]*(ext_modules|cythonize|rust_extensions|cffi_modules|(CUDA|Cpp)Extension)\b",
        re.MULTILINE,
    ),
    str(PYPROJECT): re.compile(
        r"""^build-backend\s*=\s*["'](maturin|mesonpy|scikit_build_core|sipbuild|py_build_cmake)"""
        r"|^(\[\[tool\.setuptools\.)?ext-modules\b",
        re.MULTILINE,
    ),
}
# A script's own list (PEP 723): a comment between two marks.
_INLINE = re.compile(r"^# /// script\s*$.*?^#\s*dependencies\s*=", re.MULTILINE | re.DOTALL)


def undeclared(read: Reader) -> tuple[str, ...]:
    """Return a line for the first file that declares packages which won't be installed."""
    found = [(name, cure) for name, cure in _CURES.items() if read(PurePosixPath(name)) is not None]
    found += [
        (name, cure) for name, word, cure in _WORDS if word.search(read(PurePosixPath(name)) or "")
    ]
    return tuple(f"{name}: its packages are not installed; {cure}" for name, cure in found[:1])


def unbuilt(read: Reader) -> tuple[str, ...]:
    """Return a line where the project compiles modules of its own, which a pod does not."""
    found = [
        name for name, builds in _BUILDS.items() if builds.search(read(PurePosixPath(name)) or "")
    ]
    cure = (
        "pip wheel --no-deps -w wheels ., and name that wheel in the list of packages; or build "
        "them in the run: sh -c 'python setup.py build_ext --inplace && python SCRIPT'"
    )
    return tuple(
        f"{name}: its compiled modules are not built on the pod; {cure}" for name in found[:1]
    )


def undeclared_by(folder: Path, script: str) -> str:
    """Return a line where a script declares packages in itself, which won't be installed."""
    try:
        text = (folder / script).read_text("utf-8", "replace")
    except OSError:
        return ""
    if not _INLINE.search(text):
        return ""
    return (
        f"{script}: the packages that it declares in itself (# /// script) are not installed; "
        f"uv export --script {shlex.quote(script)} -o requirements.txt"
    )
