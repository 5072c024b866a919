"""Code and data of a run, carried from one pod to another."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from moola_remote.agent_client.client import probe
from moola_remote.deploy import deploy, snapshot, upload
from moola_remote.deploy.code_store import Archive
from moola_remote.deploy.declared import Dependencies
from moola_remote.deploy.dependencies import read_dependencies, reader_of
from moola_remote.errors import ConfigError, MoolaError, NoCheckpointError
from moola_remote.pods.pod import Pod
from moola_remote.results.fetch import fetch_run
from moola_remote.runs.parents import Parent, logger
from moola_remote.runs.relay import carry_tree


@dataclass(frozen=True)
class Sources:
    """Where the things are that `parent` stood on.

    Args:
        pod: the pod to resume on.
        parent: the run.
        data: see `deploy.data_paths`.
        watcher: called with each step.
    """

    pod: Pod
    parent: Parent
    data: Mapping[str, Path]
    watcher: deploy.Watcher

    def plan(self) -> deploy.Plan:
        """Return what has to be on the pod; what must be sent is in relay folders or the project.

        Raises:
            ConfigError: something is nowhere any more.
            MoolaError: of the connection, or of the transfer.
        """
        spec = self.parent.spec
        facts = probe(self.pod.agent, reserve={"code": spec.code, "data": spec.data})
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
        return carry_tree(self.parent.pod, kind, digest, folder, self.watcher)

    def _on_laptop(self, kind: upload.Kind) -> snapshot.Tree | None:
        """Return what a deploy would send now."""
        pod = self.pod
        try:
            if kind == "code":
                return deploy.read_code(pod.project)[0]
            # What is here may be all that it had: the digest says.
            paths = deploy.data_paths(pod.project, self.data, needed=())
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

    def _dependencies(self, code: snapshot.Tree) -> Dependencies:
        """Return the packages that the run's own code asks for."""
        if code.parts:
            project, folder = self.pod.project, code.parts[0].folder
            # What another pod sent does not say which of the user's variables are told.
            is_ours = folder == project.folder or Archive(self.pod.laptop.snapshots).has(
                code.digest
            )
            reader = reader_of(folder, project.folder)
            return read_dependencies(project, reader, variables=None if is_ours else {})
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
                f"run {run_id}: {where}{checkpoints} is not there: no checkpoint to resume from",
                "start over with: moola-remote train",
            )
        self.watcher.step("sending the checkpoints, and having them verified")
        tree, facts = snapshot.data_tree({"": checkpoints}), probe(pod.agent)
        progress = self.watcher.update
        upload.send(pod.transport, pod.agent, tree, "checkpoints", facts=facts, progress=progress)
        return tree.digest
