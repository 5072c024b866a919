"""Go on with a run that ended too early: as a new run, on the same pod or on another.

What the parent stood on is found where it still is: on this pod, on this laptop, or on the parent's
pod. Trees are named by their content, so that the run goes on with exactly the code and the data
that it was begun with. The parent's spec is the laptop's own where it has one: what a pod says of
it would be run on another.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import Field, ValidationError
from pydantic_core import from_json

from moola_remote import deploy, snapshot
from moola_remote.errors import ConfigError, MoolaError, TransferError, UnreachableError
from moola_remote.events import Remote
from moola_remote.facts import probe
from moola_remote.fetch import fetch_run, read_file
from moola_remote.runs import choose, get_state, list_runs
from moola_remote.screen import safe
from moola_remote.session import Session
from moola_remote.specs import label_of, new_run_id, read_spec, who_asks

logger = logging.getLogger(__name__)

MAX_SPEC_BYTES = 4 * 2**20
MAX_LIST_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Parent:
    """A run to go on with: its id, its spec, and its pod's session, None where that is unreachable.

    `is_here` says that its pod is the one to go on.
    """

    run_id: str
    spec: dict[str, Any]
    session: Session | None
    is_here: bool


@contextlib.contextmanager
def find_parent(session: Session, name: str | None) -> Iterator[Parent]:
    """The run that a person means: on this pod, or on another that this laptop knows it from.

    Args:
        session: the pod to go on.
        name: a run id or its beginning; None is this pod's latest.

    Raises:
        ConfigError: nobody knows it, or it needs no going on.
    """
    here = list_runs(session.agent)
    if name is None or any(run.run_id.startswith(name) for run in here):
        state = choose(here, name)
        _require_ended_early(state.run_id, state.state)
        yield Parent(state.run_id, _spec_of(session, state.run_id, session), session, is_here=True)
        return
    run_id, pod = _look_on_laptop(session, name)
    with contextlib.ExitStack() as stack:
        far = _reach(session, pod, run_id) if pod else None
        if far:
            stack.callback(far.close)
        yield Parent(run_id, _spec_of(session, run_id, far, pod), far, is_here=False)


def _require_ended_early(run_id: str, state: str) -> None:
    if state == "SUCCEEDED":
        raise ConfigError(f"run {run_id}: has succeeded, there is nothing to go on with")
    if state in ("QUEUED", "PREPARING", "RUNNING"):
        raise ConfigError(f"run {run_id}: {state}, it goes on by itself", "moola-remote attach")


def _look_on_laptop(session: Session, name: str) -> tuple[str, str | None]:
    """The id of a run of another pod, and that pod; None where only its results are here."""
    pods = {path.name: path.parent.name for path in session.laptop.journals.glob(f"*/{name}*")}
    fetched = {path.name for path in session.project.results_folder.glob(f"{name}*")}
    found = sorted({*pods, *fetched})
    if not found:
        raise ConfigError(
            f"run {safe(name, 80)}: unknown on pod {session.pod.name} and on this laptop",
            "see them with: moola-remote --pod NAME runs",
        )
    if len(found) > 1:
        several = ", ".join(found[-3:])
        begins = f"run {safe(name, 80)}: {len(found)} begin so, the newest: {several}"
        raise ConfigError(begins, "name one")
    return found[0], pods.get(found[0])


def _reach(session: Session, pod: str, run_id: str) -> Session | None:
    """The parent's pod, if it is up; it is not started for this."""
    far = Session(pod_name=pod, is_verbose=session.is_verbose, may_start=False)
    try:
        _require_ended_early(run_id, get_state(far.agent, run_id).state)
    except UnreachableError as err:
        logger.info("pod %s: %s", pod, err)
        far.close()
        return None
    return far


def _spec_of(
    session: Session, run_id: str, far: Session | None, pod: str | None = None
) -> dict[str, Any]:
    """The parent's spec: this laptop's own, the fetched one, or what its pod says."""
    pod = pod or (far.pod.name if far else "")
    results = session.project.results_folder / run_id
    for path in (session.laptop.journal(pod, run_id) / "spec.json", results / "spec.json"):
        if path.is_file():
            return read_spec(path.read_bytes(), str(path))
    if far is None:
        raise ConfigError(
            f"run {run_id}: its pod can't be reached, and nothing of it is on this laptop"
        )
    path_there = far.agent.folder.run(run_id).spec
    return read_spec(read_file(far.transport, path_there, MAX_SPEC_BYTES), f"pod: {path_there}")


def require_secrets(parent: Parent, given: Mapping[str, str]) -> None:
    """Raises a ConfigError unless each secret of the parent is given again: none was kept."""
    names = parent.spec.get("secret_names")
    missing = [str(name) for name in names if name not in given] if names else []
    if missing:
        again = safe(" ".join(f"--secret {name}" for name in missing), 300)
        raise ConfigError(
            f"run {parent.run_id}: it was given secrets, none of them was kept", again
        )


@dataclass(frozen=True)
class Sources:
    """Where the things are that `parent` stood on.

    Args:
        session: the pod to go on.
        parent: the run.
        data: see `deploy.data_paths`.
        watcher: is told how it goes.
    """

    session: Session
    parent: Parent
    data: Mapping[str, Path]
    watcher: deploy.Watcher

    def plan(self) -> deploy.Plan:
        """What has to be on the pod; what has to travel lies in relay folders, or in the project.

        Raises:
            ConfigError: something is nowhere any more.
            MoolaError: of the connection, or of the transfer.
        """
        facts, spec = probe(self.session.agent), self.parent.spec
        if spec.get("code") is None:
            raise ConfigError(f"run {self.parent.run_id}: no code on record")
        code = self._find("code", spec["code"], facts.trees.code)
        data = spec.get("data") and self._find("data", spec["data"], facts.trees.data)
        return deploy.Plan(code, data or None, self._requirements(code))

    def _find(self, kind: snapshot.Kind, digest: str, on_pod: Sequence[str]) -> snapshot.Tree:
        if digest in on_pod:
            return snapshot.Tree(digest, (), (), ())
        self.watcher.step(f"looking for the {kind} of the run")
        tree = self._on_laptop(kind)
        if tree is not None and tree.digest == digest:
            return tree
        folder = self.session.laptop.relay(digest)
        if kind == "code" and self.session.archive.has(digest):
            with contextlib.suppress(ConfigError):  # damaged since
                shutil.rmtree(folder, ignore_errors=True)
                return self.session.archive.restore(digest, folder)
        if self.parent.session is None:
            raise self._nowhere(kind, digest)
        return self._carry(self.parent.session, kind, digest, folder)

    def _on_laptop(self, kind: snapshot.Kind) -> snapshot.Tree | None:
        """What a deploy would send now."""
        session = self.session
        try:
            if kind == "code":
                project = session.project
                return snapshot.code_tree(project.folder, results=project.results)
            paths = deploy.data_paths(session.project, self.data)
            return snapshot.data_tree(paths, cache=session.laptop.hash_cache)
        except MoolaError as err:
            logger.info("%s of this laptop: %s", kind, err)
            return None

    def _nowhere(self, kind: str, digest: str) -> ConfigError:
        source = self.parent.spec.get("source") or {}
        commit = safe(str(source.get("commit") or "")[:12])
        cure = "bring its pod up again"
        if kind == "code" and commit:
            dirty = ", with the changes that were not committed" if source.get("dirty") else ""
            cure = f"git checkout {commit}{dirty}; or {cure}"
        elif kind == "data":
            cure = f"name the files as they were with --data; or {cure}"
        return ConfigError(
            f"run {self.parent.run_id}: its {kind} {digest} is not on pod {self.session.pod.name}, "
            "what is here differs, and its own pod can't be reached",
            cure,
        )

    def _carry(self, far: Session, kind: snapshot.Kind, digest: str, folder: Path) -> snapshot.Tree:
        """A tree of the parent's pod, brought to this laptop; one that was cut off goes on.

        The pod that receives it verifies each file against the list, and the list by its name.
        """
        source = far.agent.folder.tree(kind, digest)
        listed = read_file(far.transport, source.with_name(f"{digest}.json"), MAX_LIST_BYTES)
        files = read_list(listed, digest)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        plain = [file for file in files if file.mode not in (snapshot.LINK, snapshot.FOLDER)]
        total = sum(file.size for file in plain)
        largest = max((file.size for file in plain), default=0)
        far.transport.pull(
            source,
            folder,
            files=[file.path for file in plain],
            max_file=largest,
            max_bytes=total + largest,
            progress=lambda done: self.watcher.update(kind, min(done, total), total),
        )
        for file in files:
            if file.mode == snapshot.LINK:
                _make_link(far, source, folder, file.path)
            elif file.mode == snapshot.FOLDER:
                (folder / file.path).mkdir(parents=True, exist_ok=True)
            elif file.mode == "100755":
                (folder / file.path).chmod(0o700)
        part = snapshot.Part("", folder, tuple(file.path for file in files))
        return snapshot.Tree(digest, files, (part,), ())

    def _requirements(self, code: snapshot.Tree) -> str:
        """The packages that the run's own code asks for."""
        requirements = self.session.project.requirements
        if code.parts:
            return (code.parts[0].folder / requirements).read_text(encoding="utf-8")
        return deploy.requirements_on_pod(self.session, code.digest)

    def send_checkpoints(self) -> str | None:
        """Have the parent's checkpoints on the pod; their digest, or None where they are its own.

        Those of another pod come to ``results/`` first, unless that pod can't be reached.
        """
        if self.parent.is_here:
            return None
        folder, session = self.session.project.results_folder, self.session
        far, run_id = self.parent.session, self.parent.run_id
        if far is not None:
            self.watcher.step("fetching the checkpoints")
            fetch_run(far.transport, far.agent, run_id, folder, what="checkpoints")
        checkpoints = folder / run_id / "checkpoints"
        if not checkpoints.is_dir():
            where = "its pod can't be reached, " if far is None else ""
            raise ConfigError(
                f"run {run_id}: {where}{checkpoints} is not there: no checkpoint to go on from",
                "start anew with: moola-remote train",
            )
        self.watcher.step("sending the checkpoints, and having them verified")
        tree, facts = snapshot.data_tree({"": checkpoints}), probe(session.agent)
        progress = self.watcher.update
        snapshot.send(
            session.transport, session.agent, tree, "checkpoints", facts=facts, progress=progress
        )
        return tree.digest


def make_spec(
    session: Session, parent: Parent, deployed: deploy.Deployed, checkpoints: str | None
) -> dict[str, Any]:
    """The spec of the run that goes on: its parent's, but for what it now stands on.

    Args:
        session: the pod to go on.
        parent: the run.
        deployed: what is on that pod.
        checkpoints: the digest of those that were sent; None where the parent's lie there.
    """
    label = parent.spec.get("recipe") or label_of(parent.spec["argv"])
    return {
        **parent.spec,
        **deployed.trees,
        **who_asks(),
        "run_id": new_run_id(str(label)),
        "parent": parent.run_id,
        "checkpoints": checkpoints,
        "machine": deployed.machine,
        "price_per_hour": session.endpoint.price_per_hour,
    }


class _Listed(Remote):
    """A sealed tree's list, as its pod has it."""

    files: list[_ListedFile] = Field(max_length=200_000)


class _ListedFile(Remote):
    path: str
    size: int = Field(ge=0)
    sha256: str
    mode: str


def read_list(content: bytes, digest: str) -> tuple[snapshot.File, ...]:
    """The files of a sealed tree.

    Raises:
        TransferError: the list is not the one that the digest names.
    """
    try:
        listed = _Listed.model_validate(from_json(content)).files
    except (ValidationError, ValueError) as err:
        raise TransferError(f"tree {digest}: its list on the pod can't be read") from err
    files = tuple(snapshot.File(**file.model_dump()) for file in listed)
    is_inside = all(
        {".", "..", ""}.isdisjoint(file.path.split("/")) and "\0" not in file.path for file in files
    )
    if not is_inside or snapshot.digest_of(files) != digest:
        raise TransferError(f"tree {digest}: its list on the pod is not the one of this name")
    return files


def _make_link(far: Session, source: PurePosixPath, folder: Path, path: str) -> None:
    """A link as it is on the pod; that it stays inside is verified where it is sealed."""
    done = far.transport.run(["readlink", "-n", "--", str(source / path)])
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).unlink(missing_ok=True)
    (folder / path).symlink_to(done.stdout.decode("utf-8", "surrogateescape"))
