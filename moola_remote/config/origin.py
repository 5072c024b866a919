"""Each setting with where it comes from: a file, the command line, or the default."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moola_remote.config.settings import OWN_FILE, TABLE, PodConfig, Project, Strict
from moola_remote.config.typed import plain

DEFAULT = "default"


@dataclass(frozen=True)
class Setting:
    """One key: its value as JSON has it, and where that comes from."""

    key: str
    value: Any
    origin: str


def project_settings(project: Project, *, found: str | None = None) -> Iterator[Setting]:
    """Yield the keys of the project's table.

    Args:
        project: what was read.
        found: the file that declares the packages, where the table names none.
    """
    if project.file is None:
        yield Setting("project", str(project.folder), f"found: nothing has {TABLE}")
    else:
        yield Setting("project", str(project.folder), _shown(project.file, project))
    where = "" if project.file is None else _where(project.file)
    for key, value in _values(project, skipped={"folder", "file", "given"}):
        if key in project.given and project.file is not None:
            yield Setting(key, value, where)
        elif key == "requirements":
            yield Setting(key, found, "found" if found else "found: no file declares any")
        else:
            yield Setting(key, value, DEFAULT)


def pod_settings(project: Project, pod: PodConfig, *, chosen_by: str) -> Iterator[Setting]:
    """Yield the keys of the pod's file; unset ones without a meaning are left out.

    Args:
        project: where the pods' files are.
        pod: what was read.
        chosen_by: what names this pod, such as ``--pod``.
    """
    path = project.pods_folder / f"{pod.name}.yaml"
    where = _shown(path, project) if path.is_file() else "built in"
    yield Setting("pod.name", pod.name, chosen_by)
    for key, value in _values(pod, skipped={"name", "given"}):
        if key in pod.given:
            yield Setting(f"pod.{key}", value, where)
        elif value is not None:
            yield Setting(f"pod.{key}", value, DEFAULT)


def _values(settings: Strict, *, skipped: set[str]) -> Iterator[tuple[str, Any]]:
    values = plain(settings)
    yield from ((key, value) for key, value in values.items() if key not in skipped)


def _where(file: Path) -> str:
    return file.name if file.name == OWN_FILE else f"{file.name} {TABLE}"


def _shown(path: Path, project: Project) -> str:
    return path.relative_to(project.folder).as_posix()
