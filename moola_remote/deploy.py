"""Deploy: the code, the data and the environment of a job are on the pod, complete and verified."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from moola_remote import snapshot
from moola_remote.config import Project
from moola_remote.errors import ConfigError
from moola_remote.session import Session

REQUIREMENTS = Path("jobs/requirements.txt")


@dataclass(frozen=True)
class Plan:
    """What a run needs on the pod, as it is on the laptop now."""

    code: snapshot.Tree
    data: snapshot.Tree | None
    requirements: str

    @property
    def source(self) -> dict[str, Any] | None:
        """Where the code comes from, as a spec has it."""
        return asdict(self.code.source) if self.code.source else None


@dataclass(frozen=True)
class Deployed:
    """What is on the pod now: the agent's `facts`, its `environment`, and bytes `sent` a tree."""

    plan: Plan
    facts: dict[str, Any]
    environment: dict[str, Any]
    sent: dict[snapshot.Kind, int]

    @property
    def trees(self) -> dict[str, str | None]:
        """The part of a spec that names what the run stands on."""
        return {
            "code": self.plan.code.digest,
            "data": self.plan.data.digest if self.plan.data else None,
            "environment": environment_digest(self.plan, self.facts),
        }

    @property
    def gpu(self) -> str:
        """The pod's first GPU in words, or empty."""
        return gpu_name(self.facts)


def environment_digest(plan: Plan, facts: dict[str, Any]) -> str:
    """The name of an environment: its requirements and the pod's Python."""
    text = f"{facts['python']}\0{plan.requirements}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def gpu_name(facts: dict[str, Any]) -> str:
    """The pod's first GPU in words: ``NVIDIA RTX 4090, 24 GiB``."""
    return ", ".join(
        f"{gpu['name']}, {gpu['memory_total'] / 2**30:.0f} GiB" for gpu in facts["gpus"][:1]
    )


def data_folders(project: Project) -> dict[str, Path]:
    """For each name of ``[tool.moola-remote.data]`` the first of its folders that exists.

    Raises:
        ConfigError: none of a name's folders exists.
    """
    found = {}
    for name, candidates in project.data.items():
        paths = [project.folder / candidate for candidate in candidates]
        present = [path for path in paths if path.exists()]
        if not present:
            tried = ", ".join(str(candidate) for candidate in candidates)
            raise ConfigError(f"data {name!r}: none of {tried} exists", "make data")
        found[name] = present[0]
    return found


def make_plan(session: Session) -> Plan:
    """Look at the laptop: what would be sent."""
    project = session.project
    requirements = project.folder / REQUIREMENTS
    if not requirements.is_file():
        raise ConfigError(f"{requirements}: missing, expected the list of packages a job needs")
    folders = data_folders(project)
    return Plan(
        code=snapshot.code_tree(project.folder, results=project.results),
        data=snapshot.data_tree(folders, cache=session.laptop.hash_cache) if folders else None,
        requirements=requirements.read_text(encoding="utf-8"),
    )


def deploy(
    session: Session, plan: Plan, *, progress: snapshot.Progress, say: Callable[[str], None]
) -> Deployed:
    """Send what is not there yet, have it verified, and make the environment.

    Args:
        session: the project and its pod.
        plan: what the run needs.
        progress: told of each transfer as it goes.
        say: told each line of what the pod does meanwhile.
    """
    facts = session.agent.call("probe")
    sent = {}
    trees: dict[snapshot.Kind, snapshot.Tree | None] = {"code": plan.code, "data": plan.data}
    for kind, tree in trees.items():
        if tree is not None:
            sent[kind] = snapshot.send(
                session.transport, session.agent, tree, kind, facts=facts, progress=progress
            )
    environment = session.agent.environment(
        environment_digest(plan, facts), plan.requirements, say=say
    )
    return Deployed(plan, facts, environment, sent)
