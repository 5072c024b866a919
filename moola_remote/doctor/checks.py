"""The checks of `doctor`: each reports what it found, or what is wrong and how to fix it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from moola_remote.errors import ConfigError, MoolaError
from moola_remote.pods.pod import Pod


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
    look: Callable[[Pod], str]
    needs: str | None = None
    applies: Callable[[Pod], bool] = lambda _: True


def run_checks(pod: Pod) -> list[Finding]:
    """Run every check in turn; one that fails hides only those that need it."""
    findings: dict[str, Finding] = {}
    for check in CHECKS:
        is_met = check.needs is None or (check.needs in findings and findings[check.needs].is_ok)
        if is_met and check.applies(pod):
            findings[check.name] = _look(check, pod)
    return list(findings.values())


def check_before_renting(pod: Pod) -> None:
    """Check what would otherwise fail only once a pod is being paid for; raise the first fault."""
    for look in (_rsync, _project, _api_key):
        look(pod)


def _look(check: Check, pod: Pod) -> Finding:
    try:
        return Finding(check.name, check.look(pod))
    except MoolaError as err:
        cure = err.cure or "see more with: moola-remote -v doctor"
        return Finding(check.name, f"{err.message}; {cure}", is_ok=False)


def _rsync(_: Pod) -> str:
    from moola_remote.rsync.version import check_version, known_holes, local_version

    version = local_version()
    check_version(version)
    return known_holes(version) or f"version {'.'.join(map(str, version or ()))}"


def _project(pod: Pod) -> str:
    return str(pod.project.folder)


def check_data(pod: Pod) -> str:
    """Return where the data is that a run of the project's recipe reads.

    Raises:
        ConfigError: some of it is not here.
    """
    from moola_remote.config.recipe import data_files, data_sets
    from moola_remote.deploy.deploy import data_paths

    project, reads = pod.project, None
    with contextlib.suppress(ConfigError):  # a project of commands has no recipe
        reads = data_files(project, project.recipe)
    paths = data_paths(project, needed=data_sets(reads))
    words = ", ".join(f"{name}: {path}" for name, path in paths.items()) or "none is configured"
    absent = ", ".join(name for name in project.data if name not in paths)
    if not absent:
        return words
    return f"{words}; not here, and not read by recipe {project.recipe}: {absent}"


def _pod(pod: Pod) -> str:
    return f"{pod.name}: {pod.provider.status().detail}"


def _api_key(pod: Pod) -> str:
    from moola_remote.providers.runpod.credentials import find_api_key
    from moola_remote.providers.runpod.provider import RunpodProvider

    origin, provider = find_api_key().origin, pod.provider
    assert isinstance(provider, RunpodProvider)
    num_pods = len(provider.client.pods())
    if not provider.client.may_write():
        raise ConfigError(
            f"RunPod: the key of {origin} has read-only access",
            "give it the permission `All` (console.runpod.io, Settings, API keys)",
        )
    return f"valid, may make and end pods; of {origin}; {num_pods} pods in the account"


def _is_rented(pod: Pod) -> bool:
    return pod.provider.is_paid


def _is_up(pod: Pod) -> bool:
    """Return whether it can be connected to; a free one is started if need be."""
    return not _is_rented(pod) or pod.provider.status().state == "up"


def _connection(pod: Pod) -> str:
    endpoint = pod.endpoint
    pod.transport.run(["true"])
    return f"{endpoint.user}@{endpoint.host}:{endpoint.port}"


def _agent(pod: Pod) -> str:
    from moola_remote.agent_client.client import probe
    from moola_remote.pods.preflight import check_pod
    from moola_remote.rsync.version import known_holes

    facts = probe(pod.agent)
    check_pod(pod.name, facts)
    rsync = known_holes(facts.rsync or "") or f"rsync {facts.rsync}"
    free = (facts.disk_free or 0) / 1e9
    return f"Python {facts.python}, {free:.0f} GB of disk free, {rsync}"


CHECKS = (
    Check("rsync here", _rsync),
    Check("project", _project),
    Check("data", check_data, needs="project"),
    Check("pod", _pod, needs="project"),
    Check("API key", _api_key, needs="pod", applies=_is_rented),
    Check("SSH connection", _connection, needs="pod", applies=_is_up),
    Check("agent on the pod", _agent, needs="SSH connection"),
)
