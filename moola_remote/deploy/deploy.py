"""Deploy: the code, the data and the environment of a job are on the pod, complete and verified."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from moola_remote.agent_client.client import probe
from moola_remote.config.settings import OWN_FILE, Project
from moola_remote.deploy import snapshot, upload
from moola_remote.deploy.declared import Dependencies
from moola_remote.deploy.dependencies import read_dependencies, reader_of
from moola_remote.deploy.ignored import described, worth_a_word
from moola_remote.errors import ConfigError
from moola_remote.pods.pod import Pod
from moola_remote.pods.preflight import check_gpu, check_pod, check_room
from moola_remote.protocol.answers import Environment, PodInfo
from moola_remote.protocol.types import read_answer_as
from moola_remote.text.redact import strike

MAX_NAMED = 5


@dataclass(frozen=True)
class Plan:
    """What a run needs on the pod, as it is on the laptop now.

    `missed` names what git ignores and the project's data don't list; empty where that is nothing.
    `absent` are the data sets of the project that are not there, and not needed.
    """

    code: snapshot.Tree
    data: snapshot.Tree | None
    dependencies: Dependencies
    missed: str = ""
    absent: tuple[str, ...] = ()

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
            "environment": self.plan.dependencies.digest(self.facts.python),
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


def dependencies_on_pod(pod: Pod, code: str) -> Dependencies:
    """Return the packages that a snapshot on the pod asks for.

    Raises:
        ConfigError: it has no such list, or one that can't be understood.
        TransferError: it can't be read.
    """
    from moola_remote.deploy.sealed_list import SealedReader

    # A pod does not say which of the user's variables it is told.
    return read_dependencies(pod.project, SealedReader(pod, code), variables={})


def gpu_name(facts: PodInfo) -> str:
    """Return the pod's first GPU in words: ``NVIDIA RTX 4090, 24 GiB``."""
    return ", ".join(f"{gpu.name}, {gpu.memory_total / 2**30:.0f} GiB" for gpu in facts.gpus[:1])


def data_paths(
    project: Project,
    chosen: Mapping[str, Path] = MappingProxyType({}),
    needed: Collection[str] | None = None,
) -> dict[str, Path]:
    """Return what is sent as each name of ``[tool.moola-remote.data]``: a folder, or one file.

    A name that is not there is left out, unless the run needs it.

    Args:
        project: lists the candidates; the first that exists is taken.
        chosen: taken instead of a name's candidates; relative to the current folder. Who chooses
            has data of their own, and needs no other.
        needed: the names that the run reads; None where that is not known, and it may be each.

    Raises:
        ConfigError: `chosen` has a name that the project has not, or what it names does not exist;
            or, where nothing is chosen, none of the candidates of a needed name exists.
    """
    for name in chosen:
        if name not in project.data and project.file is not None:
            known = ", ".join(project.data) or "none"
            raise ConfigError(
                f"--data {name}: unknown name, expected one of {known}",
                f"add it to {_table_of_data(project)}",
            )
    given = {name: [Path.cwd() / path] for name, path in chosen.items()}
    needed = given or (project.data if needed is None else needed)
    listed = {name: [project.folder / one for one in paths] for name, paths in project.data.items()}
    return {
        name: _first_there(name, candidates, project)
        for name, candidates in {**listed, **given}.items()
        if name in needed or any(path.exists() for path in candidates)
    }


def _table_of_data(project: Project) -> str:
    is_own = project.file is not None and project.file.name == OWN_FILE
    return f"[data] in {OWN_FILE}" if is_own else "[tool.moola-remote.data] in pyproject.toml"


def _first_there(name: str, candidates: Sequence[Path], project: Project) -> Path:
    for path in candidates:
        if path.exists():
            return path
    tried = ", ".join(map(str, candidates)) or "nothing"
    makes_some = (project.folder / "jobs" / "synthesize.py").is_file()
    cure = f"name another with --data {name}=PATH"
    raise ConfigError(
        f"data {name!r}: no such file or folder, tried {tried}",
        f"make data writes a synthetic market; or {cure}" if makes_some else cure,
    )


def make_plan(
    pod: Pod,
    data: Mapping[str, Path] = MappingProxyType({}),
    needed: Collection[str] | None = None,
) -> Plan:
    """Look at the laptop: what would be sent.

    Args:
        pod: the project.
        data: see `data_paths`.
        needed: the same.

    Raises:
        ConfigError: data or the list of requirements is missing, or a file can't be read.
        LimitError: the code is too large.
    """
    project = pod.project
    paths = data_paths(project, data, needed)
    code, dependencies = read_code(project, cache=pod.laptop.code_hashes(project.folder))
    return Plan(
        code=code,
        data=snapshot.data_tree(paths, cache=pod.laptop.hash_cache) if paths else None,
        dependencies=dependencies,
        missed=_missed(project, paths, code.ignored, dependencies.files),
        absent=tuple(name for name in project.data if name not in paths),
    )


def read_code(
    project: Project, *, cache: Path | None = None, without: Collection[str] = ()
) -> tuple[snapshot.Tree, Dependencies]:
    """Return the code as it is here, with what of its packages lies in it, and what it needs.

    Args:
        project: its settings.
        cache: see `snapshot.code_tree`.
        without: the same.

    Raises:
        ConfigError: the list of requirements is missing, or a file can't be read.
        LimitError: the code is too large.
    """
    needs = read_dependencies(project, reader_of(project.folder))
    code = snapshot.code_tree(
        project.folder, results=project.results, also=needs.files, without=without, cache=cache
    )
    return code, needs


def _missed(
    project: Project, data: Mapping[str, Path], ignored: Sequence[str], sent: Iterable[str]
) -> str:
    """Return a note on what git ignores: it is not sent, and may be missing on the pod."""
    folder = project.folder.resolve()
    named = [
        path.absolute().relative_to(project.folder).as_posix()
        for path in data.values()
        if path.absolute().is_relative_to(project.folder)
    ]
    named += [
        path.resolve().relative_to(folder).as_posix()
        for path in data.values()
        if path.resolve().is_relative_to(folder)
    ]
    named += sent
    found = worth_a_word(ignored, data=named, results=project.results.as_posix())
    if not found:
        return ""
    some = ", ".join(described(folder, found[:MAX_NAMED]))
    more = f", and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
    # Where there are settings, only the names in them can be sent.
    other = ", or send it with --data NAME=PATH" if project.file is None else ""
    return (
        f"ignored by git and not named as data: {some}{more}; name what the job reads in "
        f"{_table_of_data(project)}{other}"
    )


class Watcher(Protocol):
    """Callbacks of a deploy's progress."""

    def update(self, name: str, done: int, total: int) -> None:
        """`done` of `total` bytes of the transfer `name` have gone."""

    def step(self, text: str) -> None:
        """Show that this is done now."""

    def say(self, line: str) -> None:
        """Show a line from the pod."""


def deploy(pod: Pod, plan: Plan, watcher: Watcher) -> Deployed:
    """Send what is not there yet, have it verified, and make the environment.

    Args:
        pod: the project and its pod.
        plan: what the run needs.
        watcher: called with each step.

    Raises:
        MoolaError: of the connection, of the transfer, or of the environment.
    """
    watcher.step("asking the pod what it has")
    trees: dict[upload.Kind, snapshot.Tree | None] = {"code": plan.code, "data": plan.data}
    wanted: dict[str, str] = {kind: tree.digest for kind, tree in trees.items() if tree}
    # A few changed files travel with the first question, and the pod makes the tree at once.
    content = upload.content_of(plan.code)
    facts = probe(
        pod.agent,
        lists=plan.dependencies.lists,
        reserve=wanted,
        link=upload.link_request(plan.code, "code", content) if content else None,
        timeout_s=upload.patience_s(plan.code),
    )
    there = {*facts.trees.code, *facts.trees.data}
    to_send = sum(tree.size for tree in trees.values() if tree and tree.digest not in there)
    check_pod(pod.name, facts, to_send)
    check_room(pod.name, pod.agent, to_send)
    sent: dict[upload.Kind, int] = {}
    for kind, tree in trees.items():
        if tree is not None:
            watcher.step(f"sending what is new of the {kind}, and having it verified")
            sent[kind] = upload.send(
                pod.transport, pod.agent, tree, kind, facts=facts, progress=watcher.update
            )
    if facts.sealed:
        sent["code"] = sum(len(one.data) for one in content.values())
    environment = facts.environment or _make_environment(pod, plan, facts, watcher)
    check_gpu(pod.name, facts, environment.torch)
    return Deployed(plan, facts, environment, sent)


def _make_environment(pod: Pod, plan: Plan, facts: PodInfo, watcher: Watcher) -> Environment:
    watcher.step("preparing the environment")
    needs = plan.dependencies
    code = {"code": plan.code.digest} if needs.files else {}
    secret = {"credentials": dict(needs.credentials)} if needs.credentials else {}
    answer = pod.agent.environment(
        needs.digest(facts.python),
        {**needs.asked, **code, **secret},
        say=lambda line: watcher.say(strike(line)),
    )
    return read_answer_as(Environment, answer, "environment")
