"""Deploy: the code, the data and the environment of a job are on the pod, complete and verified."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from moola_remote.agent_client.client import probe
from moola_remote.config.settings import Project
from moola_remote.deploy import snapshot, upload
from moola_remote.errors import ConfigError
from moola_remote.pods.pod import Pod
from moola_remote.pods.preflight import check_gpu, check_pod, check_room
from moola_remote.protocol.answers import Environment, PodInfo
from moola_remote.protocol.types import read_answer_as
from moola_remote.ssh.read_file import read_file

MAX_REQUIREMENTS_BYTES = 1 << 20


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
    facts: PodInfo
    environment: Environment
    sent: dict[upload.Kind, int]

    @property
    def trees(self) -> dict[str, str | None]:
        """The part of a spec that names what the run stands on."""
        return {
            "code": self.plan.code.digest,
            "data": self.plan.data.digest if self.plan.data else None,
            "environment": environment_digest(self.plan.requirements, self.facts),
        }

    @property
    def machine(self) -> dict[str, str | None]:
        """The part of a spec that says what the run is to run on."""
        torch = self.environment.torch
        packages = sorted(self.environment.packages.items())
        return {
            "python": self.environment.python,
            "packages": hashlib.sha256(repr(packages).encode()).hexdigest()[:16],
            "torch": torch.version if torch else None,
            "cuda": torch.cuda if torch else None,
            "device": (torch and torch.device) or self.gpu or "cpu",
        }

    @property
    def gpu(self) -> str:
        """The pod's first GPU in words, or empty."""
        return gpu_name(self.facts)


def environment_digest(requirements: str, facts: PodInfo) -> str:
    """The name of an environment: its requirements and the pod's Python."""
    text = f"{facts.python}\0{requirements}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def requirements_on_pod(pod: Pod, code: str) -> str:
    """The packages that a snapshot on the pod asks for.

    Raises:
        TransferError: its list can't be read.
    """
    folder = pod.agent.folder.tree("code", code)
    path = folder / pod.project.requirements.as_posix()
    content = read_file(pod.transport, path, MAX_REQUIREMENTS_BYTES)
    return content.decode("utf-8", "replace")


def gpu_name(facts: PodInfo) -> str:
    """The pod's first GPU in words: ``NVIDIA RTX 4090, 24 GiB``."""
    return ", ".join(f"{gpu.name}, {gpu.memory_total / 2**30:.0f} GiB" for gpu in facts.gpus[:1])


def data_paths(
    project: Project, chosen: Mapping[str, Path] = MappingProxyType({})
) -> dict[str, Path]:
    """What is sent as each name of ``[tool.moola-remote.data]``: a folder, or one file.

    Args:
        project: lists the candidates; the first that exists is taken.
        chosen: taken instead of a name's candidates; relative to the current folder.

    Raises:
        ConfigError: `chosen` has a name that the project has not, or what it names does not exist;
            or none of a name's candidates exists.
    """
    for name in chosen:
        if name not in project.data:
            known = ", ".join(project.data) or "none"
            raise ConfigError(
                f"--data {name}: unknown name, expected one of {known}",
                "add it to [tool.moola-remote.data] in pyproject.toml",
            )
    return {
        name: _first_there(
            name,
            [Path.cwd() / chosen[name]]
            if name in chosen
            else [project.folder / path for path in candidates],
        )
        for name, candidates in project.data.items()
    }


def _first_there(name: str, candidates: Sequence[Path]) -> Path:
    for path in candidates:
        if path.exists():
            return path
    tried = ", ".join(map(str, candidates)) or "nothing"
    raise ConfigError(
        f"data {name!r}: no such file or folder, tried {tried}",
        f"make data writes a synthetic market; or name another with --data {name}=PATH",
    )


def make_plan(pod: Pod, data: Mapping[str, Path] = MappingProxyType({})) -> Plan:
    """Look at the laptop: what would be sent.

    Args:
        pod: the project.
        data: see `data_paths`.

    Raises:
        ConfigError: data or the list of requirements is missing, or a file can't be read.
        LimitError: the code is too large.
    """
    project = pod.project
    requirements = read_requirements(project.folder / project.requirements)
    paths = data_paths(project, data)
    return Plan(
        code=snapshot.code_tree(project.folder, results=project.results),
        data=snapshot.data_tree(paths, cache=pod.laptop.hash_cache) if paths else None,
        requirements=requirements,
    )


def read_requirements(path: Path) -> str:
    """The packages that a job needs, in pip's form.

    Raises:
        ConfigError: the file can't be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        why = err.strerror if isinstance(err, OSError) else "not UTF-8"
        raise ConfigError(
            f"{path}: can't be read, {why}; expected the packages that a job needs, a line each",
            "write it, empty where it needs none, or correct `requirements` in pyproject.toml",
        ) from err


class Watcher(Protocol):
    """Who is told how a deploy goes."""

    def update(self, name: str, done: int, total: int) -> None:
        """`done` of `total` bytes of the transfer `name` have gone."""

    def step(self, text: str) -> None:
        """This is done now."""

    def say(self, line: str) -> None:
        """The pod says a line."""


def deploy(pod: Pod, plan: Plan, watcher: Watcher) -> Deployed:
    """Send what is not there yet, have it verified, and make the environment.

    Args:
        pod: the project and its pod.
        plan: what the run needs.
        watcher: is told how it goes.

    Raises:
        MoolaError: of the connection, of the transfer, or of the environment.
    """
    watcher.step("asking the pod what it has")
    facts = probe(pod.agent)
    trees: dict[upload.Kind, snapshot.Tree | None] = {"code": plan.code, "data": plan.data}
    there = {*facts.trees.code, *facts.trees.data}
    to_send = sum(tree.size for tree in trees.values() if tree and tree.digest not in there)
    check_pod(pod.name, facts, to_send)
    check_room(pod.name, pod.agent, to_send)
    sent = {}
    for kind, tree in trees.items():
        if tree is not None:
            watcher.step(f"sending what is new of the {kind}, and having it verified")
            sent[kind] = upload.send(
                pod.transport, pod.agent, tree, kind, facts=facts, progress=watcher.update
            )
    watcher.step("preparing the environment")
    answer = pod.agent.environment(
        environment_digest(plan.requirements, facts), plan.requirements, say=watcher.say
    )
    environment = read_answer_as(Environment, answer, "environment")
    check_gpu(pod.name, facts, environment.torch)
    return Deployed(plan, facts, environment, sent)
