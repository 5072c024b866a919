"""The checks of `doctor`: each says what it found, or what is wrong and what mends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from moola_remote.errors import ConfigError, MoolaError
from moola_remote.session import Session


@dataclass(frozen=True)
class Finding:
    """What one check found, or what is wrong and its cure."""

    name: str
    details: str
    is_ok: bool = True


@dataclass(frozen=True)
class Check:
    """One check, which makes no sense where the one that it `needs` found a fault."""

    name: str
    look: Callable[[Session], str]
    needs: str | None = None
    applies: Callable[[Session], bool] = lambda _: True


def run_checks(session: Session) -> list[Finding]:
    """Every check in turn; one that fails hides only those that need it."""
    findings: dict[str, Finding] = {}
    for check in CHECKS:
        is_met = check.needs is None or (check.needs in findings and findings[check.needs].is_ok)
        if is_met and check.applies(session):
            findings[check.name] = _look(check, session)
    return list(findings.values())


def check_before_renting(session: Session) -> None:
    """What would only show when a pod is being paid for; the first fault is raised."""
    for look in (_rsync, _project, _data, _api_key):
        look(session)


def _look(check: Check, session: Session) -> Finding:
    try:
        return Finding(check.name, check.look(session))
    except MoolaError as err:
        cure = err.cure or "see more with: moola-remote -v doctor"
        return Finding(check.name, f"{err.message}; {cure}", is_ok=False)


def _rsync(_: Session) -> str:
    from moola_remote.bridge import local_version
    from moola_remote.rsync import check_version, known_holes

    version = local_version()
    check_version(version)
    return known_holes(version) or f"version {'.'.join(map(str, version or ()))}"


def _project(session: Session) -> str:
    return str(session.project.folder)


def _data(session: Session) -> str:
    from moola_remote.deploy import data_paths

    paths = data_paths(session.project)
    return ", ".join(f"{name}: {path}" for name, path in paths.items()) or "none is configured"


def _pod(session: Session) -> str:
    return f"{session.pod.name}: {session.provider.status().detail}"


def _api_key(session: Session) -> str:
    from moola_remote.credentials import find_api_key
    from moola_remote.providers.runpod.provider import RunpodProvider

    origin, provider = find_api_key().origin, session.provider
    assert isinstance(provider, RunpodProvider)
    num_pods = len(provider.client.pods())
    if not provider.client.may_write():
        raise ConfigError(
            f"RunPod: the key of {origin} may only read",
            "give it the permission `All` (console.runpod.io, Settings, API keys)",
        )
    return f"valid, may make and end pods; of {origin}; {num_pods} pods in the account"


def _is_rented(session: Session) -> bool:
    return session.provider.is_paid


def _is_up(session: Session) -> bool:
    """Whether there is somebody to connect to; one that costs nothing is started if need be."""
    return not _is_rented(session) or session.provider.status().state == "up"


def _connection(session: Session) -> str:
    endpoint = session.endpoint
    session.transport.run(["true"])
    return f"{endpoint.user}@{endpoint.host}:{endpoint.port}"


def _agent(session: Session) -> str:
    from moola_remote.facts import probe
    from moola_remote.preflight import check_pod
    from moola_remote.rsync import known_holes

    facts = probe(session.agent)
    check_pod(session.pod.name, facts)
    rsync = known_holes(facts.rsync or "") or f"rsync {facts.rsync}"
    free = (facts.disk_free or 0) / 1e9
    return f"Python {facts.python}, {free:.0f} GB of disk free, {rsync}"


CHECKS = (
    Check("rsync here", _rsync),
    Check("project", _project),
    Check("data", _data, needs="project"),
    Check("pod", _pod, needs="project"),
    Check("API key", _api_key, needs="pod", applies=_is_rented),
    Check("SSH connection", _connection, needs="pod", applies=_is_up),
    Check("agent on the pod", _agent, needs="SSH connection"),
)
