"""Replay of a run: the same code, byte for byte, and a report of what differs."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from moola_remote.agent_client.client import probe
from moola_remote.config.recipe import data_files, data_sets
from moola_remote.deploy import snapshot
from moola_remote.deploy.code_store import Archive
from moola_remote.deploy.declared import Dependencies
from moola_remote.deploy.dependencies import read_dependencies, reader_of
from moola_remote.deploy.deploy import (
    Deployed,
    Plan,
    data_paths,
    dependencies_on_pod,
    read_code,
)
from moola_remote.errors import ConfigError
from moola_remote.protocol.answers import PodInfo

if TYPE_CHECKING:
    from moola_remote.config.settings import Project
    from moola_remote.pods.pod import Pod
    from moola_remote.protocol.spec import Spec

# So many packages with another version are named.
MAX_CHANGED = 8


def make_plan(pod: Pod, spec: Spec, folder: Path) -> Plan:
    """Return what the run of `spec` was started with.

    Its code is the laptop's copy, else the pod's, else the project's where that is still the same;
    its data are what the pod still has, else the project's as they are now.

    Args:
        pod: the project and its pod.
        spec: of the run.
        folder: empty; the code is restored to it.

    Raises:
        ConfigError: its code can't be had any more, or data that it reads.
    """
    facts = probe(pod.agent, reserve={"code": spec.code, "data": spec.data})
    code, dependencies = _code(pod, spec, facts, folder)
    if spec.data is None or spec.data in facts.trees.data:
        data = snapshot.Tree(spec.data, (), (), ()) if spec.data else None
        return Plan(code=code, data=data, dependencies=dependencies)
    paths = _data_here(pod, spec, code)
    return Plan(
        code=code,
        data=snapshot.data_tree(paths, cache=pod.laptop.hash_cache),
        dependencies=dependencies,
        absent=tuple(name for name in pod.project.data if name not in paths),
    )


def _code(pod: Pod, spec: Spec, facts: PodInfo, folder: Path) -> tuple[snapshot.Tree, Dependencies]:
    digest, project = spec.code, pod.project
    if digest is None:
        raise ConfigError(f"run {spec.run_id}: no code on record")
    if Archive(pod.laptop.snapshots).has(digest):
        with contextlib.suppress(ConfigError):  # damaged since
            tree = Archive(pod.laptop.snapshots).restore(digest, folder)
            return tree, read_dependencies(project, reader_of(folder, project.folder))
    if digest in facts.trees.code:
        return snapshot.Tree(digest, (), (), ()), dependencies_on_pod(pod, digest)
    tree, needs = read_code(project)
    if tree.digest == digest:
        return tree, needs
    commit = spec.source and spec.source.commit
    raise ConfigError(
        f"run {spec.run_id}: its code {digest} is not on pod {pod.name}, was not kept on "
        "this laptop, and differs from what is here",
        f"git checkout {commit[:12]}, with the changes of: moola-remote runs show --diff"
        if commit
        else "",
    )


def _data_here(pod: Pod, spec: Spec, code: snapshot.Tree) -> dict[str, Path]:
    """Return the project's data sets that are here, after a look for those that the run reads.

    Raises:
        ConfigError: one of them is not here, or none at all.
    """
    project = pod.project
    paths = data_paths(project, needed=())
    missing = sorted((_reads(project, spec, code) or set()) - set(paths))
    if paths and not missing:
        return paths
    if missing:
        what = f"it reads data {missing[0]!r}, which is neither on pod {pod.name} nor here"
    else:
        what = f"its data {spec.data} is not on pod {pod.name}, and none of the project's is here"
    tried = ", ".join(
        str(project.folder / path)
        for name in (missing or project.data)
        for path in project.data.get(name, ())
    )
    raise ConfigError(f"run {spec.run_id}: {what}, tried {tried or 'nothing'}", "put it there")


def _reads(project: Project, spec: Spec, code: snapshot.Tree) -> set[str] | None:
    """Return the data sets that a run reads by its own recipe; None where that isn't known."""
    if spec.recipe is None or not code.parts:
        return None
    settings = [word for flag, word in itertools.pairwise(spec.argv) if flag == "--set"]
    with contextlib.suppress(ConfigError):  # of a project that keeps its recipes elsewhere by now
        own = structs.replace(project, folder=code.parts[0].folder)
        return data_sets(data_files(own, spec.recipe, settings))
    return None


def differences(spec: Spec, deployed: Deployed, secret_names: set[str]) -> Iterator[str]:
    """Yield a line for each thing that is not as it was for the run of `spec`."""
    if spec.machine.python is None:
        yield "its machine is not on record: Python, torch, CUDA and device may differ"
    else:
        for name, then in structs.asdict(spec.machine).items():
            now = deployed.machine.get(name)
            if now != then and not (name == "packages" and spec.packages):
                yield f"{name} was {then or 'none'}, is {now or 'none'}"
    if spec.packages:
        yield from _changed_packages(spec.packages, deployed.environment.packages)
    trees = deployed.trees
    for name, then in (("data", spec.data), ("environment", spec.environment)):
        if trees[name] != then:
            yield f"{name} was {then or 'none'}, is {trees[name] or 'none'}"
    if spec.parent is not None:
        yield f"it was resumed from the checkpoints of {spec.parent}; this starts from scratch"
    missing = sorted(set(spec.secret_names) - secret_names)
    if missing:
        yield f"it had the secrets {', '.join(missing)}; give them with --secret NAME"


def _changed_packages(then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """Yield the packages that have another version, or are there on one side alone, in one line."""
    changed = [
        f"{name} was {then.get(name, 'none')}, is {now.get(name, 'none')}"
        for name in sorted({*then, *now}, key=str.lower)
        if then.get(name) != now.get(name)
    ]
    if changed:
        more = f"; and {len(changed) - MAX_CHANGED} more" if len(changed) > MAX_CHANGED else ""
        yield f"packages: {'; '.join(changed[:MAX_CHANGED])}{more}"
