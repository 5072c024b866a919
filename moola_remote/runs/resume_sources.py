"""Code and data of a run, carried from one pod to another."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import Field, ValidationError
from pydantic_core import from_json

from moola_remote.agent_client.client import probe
from moola_remote.deploy import deploy, snapshot, upload
from moola_remote.deploy.code_store import Archive
from moola_remote.deploy.declared import Dependencies
from moola_remote.deploy.dependencies import read_dependencies, reader_of
from moola_remote.errors import ConfigError, MoolaError, NoCheckpointError, TransferError
from moola_remote.pods.pod import Pod
from moola_remote.protocol.types import Remote
from moola_remote.results.fetch import fetch_run
from moola_remote.runs.parents import Parent, logger
from moola_remote.ssh.read_file import read_file

MAX_LIST_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Sources:
    """Where the things are that `parent` stood on.

    Args:
        pod: the pod to go on.
        parent: the run.
        data: see `deploy.data_paths`.
        watcher: is told how it goes.
    """

    pod: Pod
    parent: Parent
    data: Mapping[str, Path]
    watcher: deploy.Watcher

    def plan(self) -> deploy.Plan:
        """What has to be on the pod; what has to travel lies in relay folders, or in the project.

        Raises:
            ConfigError: something is nowhere any more.
            MoolaError: of the connection, or of the transfer.
        """
        facts, spec = probe(self.pod.agent), self.parent.spec
        if spec.code is None:
            raise ConfigError(f"run {self.parent.run_id}: no code on record")
        code = self._find("code", spec.code, facts.trees.code)
        data = spec.data and self._find("data", spec.data, facts.trees.data)
        return deploy.Plan(code, data or None, self._dependencies(code))

    def _find(self, kind: upload.Kind, digest: str, on_pod: Sequence[str]) -> snapshot.Tree:
        if digest in on_pod:
            return snapshot.Tree(digest, (), (), ())
        self.watcher.step(f"looking for the {kind} of the run")
        tree = self._on_laptop(kind)
        if tree is not None and tree.digest == digest:
            return tree
        folder = self.pod.laptop.relay(digest)
        if kind == "code" and Archive(self.pod.laptop.snapshots).has(digest):
            with contextlib.suppress(ConfigError):  # damaged since
                shutil.rmtree(folder, ignore_errors=True)
                return Archive(self.pod.laptop.snapshots).restore(digest, folder)
        if self.parent.pod is None:
            raise self._nowhere(kind, digest)
        return self._carry(self.parent.pod, kind, digest, folder)

    def _on_laptop(self, kind: upload.Kind) -> snapshot.Tree | None:
        """What a deploy would send now."""
        pod = self.pod
        try:
            if kind == "code":
                project = pod.project
                return snapshot.code_tree(project.folder, results=project.results)
            paths = deploy.data_paths(pod.project, self.data)
            return snapshot.data_tree(paths, cache=pod.laptop.hash_cache)
        except MoolaError as err:
            logger.info("%s of this laptop: %s", kind, err)
            return None

    def _nowhere(self, kind: str, digest: str) -> ConfigError:
        source = self.parent.spec.source
        cure = "bring its pod up again"
        if kind == "code" and source and source.commit:
            dirty = ", with the changes that were not committed" if source.dirty else ""
            cure = f"git checkout {source.commit[:12]}{dirty}; or {cure}"
        elif kind == "data":
            cure = f"name the files as they were with --data; or {cure}"
        return ConfigError(
            f"run {self.parent.run_id}: its {kind} {digest} is not on pod {self.pod.name}, "
            "what is here differs, and its own pod can't be reached",
            cure,
        )

    def _carry(self, far: Pod, kind: upload.Kind, digest: str, folder: Path) -> snapshot.Tree:
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

    def _dependencies(self, code: snapshot.Tree) -> Dependencies:
        """The packages that the run's own code asks for."""
        if code.parts:
            return read_dependencies(self.pod.project, reader_of(code.parts[0].folder))
        return deploy.dependencies_on_pod(self.pod, code.digest)

    def send_checkpoints(self) -> str | None:
        """Have the parent's checkpoints on the pod; their digest, or None where they are its own.

        Those of another pod come to ``results/`` first, unless that pod can't be reached.
        """
        if self.parent.is_here:
            return None
        folder, pod = self.pod.project.results_folder, self.pod
        far, run_id = self.parent.pod, self.parent.run_id
        if far is not None:
            self.watcher.step("fetching the checkpoints")
            fetch_run(far.transport, far.agent, run_id, folder, what="checkpoints")
        checkpoints = folder / run_id / "checkpoints"
        if not checkpoints.is_dir():
            where = "its pod can't be reached, " if far is None else ""
            raise NoCheckpointError(
                f"run {run_id}: {where}{checkpoints} is not there: no checkpoint to go on from",
                "start anew with: moola-remote train",
            )
        self.watcher.step("sending the checkpoints, and having them verified")
        tree, facts = snapshot.data_tree({"": checkpoints}), probe(pod.agent)
        progress = self.watcher.update
        upload.send(pod.transport, pod.agent, tree, "checkpoints", facts=facts, progress=progress)
        return tree.digest


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


def _make_link(far: Pod, source: PurePosixPath, folder: Path, path: str) -> None:
    """A link as it is on the pod; that it stays inside is verified where it is sealed."""
    done = far.transport.run(["readlink", "-n", "--", str(source / path)])
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).unlink(missing_ok=True)
    (folder / path).symlink_to(done.stdout.decode("utf-8", "surrogateescape"))
