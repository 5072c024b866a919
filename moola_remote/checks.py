"""The checks of `doctor`: each says what it found, or what is wrong and what mends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from moola_remote.errors import ConfigError, MoolaError
from moola_remote.session import Session


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    name: str
    is_ok: bool
    details: str


def run_checks(session: Session) -> list[Finding]:
    """Every check in turn; one that fails does not hide the next."""
    return [_look(name, check, session) for name, check in CHECKS.items()]


def _look(name: str, check: Callable[[Session], str], session: Session) -> Finding:
    try:
        return Finding(name, is_ok=True, details=check(session))
    except MoolaError as err:
        return Finding(name, is_ok=False, details=str(err))


def _rsync(_: Session) -> str:
    from moola_remote.bridge import local_version
    from moola_remote.rsync import check_version

    version = local_version()
    return check_version(version) or f"version {'.'.join(map(str, version or ()))}"


def _project(session: Session) -> str:
    return str(session.project.folder)


def _data(session: Session) -> str:
    from moola_remote.deploy import data_folders

    folders = data_folders(session.project)
    return ", ".join(f"{name}: {path}" for name, path in folders.items()) or "none is configured"


def _pod(session: Session) -> str:
    return f"{session.pod.name}: {session.provider.status().detail}"


def _connection(session: Session) -> str:
    endpoint = session.endpoint
    session.transport.run(["true"])
    return f"{endpoint.user}@{endpoint.host}:{endpoint.port}"


def _agent(session: Session) -> str:
    facts = session.agent.call("probe")
    if not facts["rsync"]:
        raise ConfigError(
            f"pod {session.pod.name}: no rsync on the pod", "apt-get install rsync there"
        )
    free = (facts["disk_free"] or 0) / 1e9
    return f"Python {facts['python']}, rsync {facts['rsync']}, {free:.0f} GB of disk free"


CHECKS: dict[str, Callable[[Session], str]] = {
    "rsync here": _rsync,
    "project": _project,
    "data": _data,
    "pod": _pod,
    "SSH connection": _connection,
    "agent on the pod": _agent,
}
