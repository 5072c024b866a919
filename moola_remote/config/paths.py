"""The paths of a pod, of a run and of the laptop; pure. The contract: docs/protocol.md."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MANIFEST = "manifest.json"
STATE = "state.json"


@dataclass(frozen=True)
class RunPaths:
    """The files of one run: on the pod in ``runs/<id>``, once fetched in ``results/<id>``."""

    path: PurePosixPath

    @property
    def events(self) -> PurePosixPath:
        """``events.jsonl``."""
        return self.path / "events.jsonl"

    @property
    def spec(self) -> PurePosixPath:
        """``spec.json``."""
        return self.path / "spec.json"

    @property
    def state(self) -> PurePosixPath:
        """``state.json``."""
        return self.path / STATE

    @property
    def manifest(self) -> PurePosixPath:
        """``manifest.json``."""
        return self.path / MANIFEST

    @property
    def result(self) -> PurePosixPath:
        """``result.json``."""
        return self.path / "result.json"

    @property
    def artifacts(self) -> PurePosixPath:
        """``artifacts``."""
        return self.path / "artifacts"


@dataclass(frozen=True)
class PodPaths:
    """Everything of ours on a pod, below one root."""

    root: PurePosixPath

    def agent(self, digest: str) -> PurePosixPath:
        """Return the one program of ours on the pod, named by its content."""
        return self.root / "agent" / f"{digest}.pyz"

    def tree(self, kind: str, digest: str) -> PurePosixPath:
        """Return a complete, verified tree; `kind` is ``code`` or ``data``."""
        return self.root / kind / digest

    def incoming(self, kind: str, digest: str) -> PurePosixPath:
        """Where a tree is received, before the agent verifies it and renames it to `tree`."""
        return self.root / kind / f".incoming-{digest}"

    def run(self, run_id: str) -> RunPaths:
        """Return the folder of one run."""
        return RunPaths(self.root / "runs" / run_id)


@dataclass(frozen=True)
class LaptopPaths:
    """Where moola-remote keeps what is not the project's: keys, pins, journals, the local pod."""

    state: Path

    @property
    def known_hosts(self) -> Path:
        """``known_hosts``."""
        return self.state / "known_hosts"

    @property
    def local_pod(self) -> Path:
        """``local-pod``."""
        return self.state / "local-pod"

    def numbered_local_pod(self, number: str) -> Path:
        """``local-pod.2``: a second embedded pod and more."""
        return self.state / f"local-pod.{number}"

    @property
    def journals(self) -> Path:
        """``journals``."""
        return self.state / "journals"

    def journal(self, pod: str, run_id: str) -> Path:
        """Return the folder for what this laptop keeps of a run: log, events, spec, last state."""
        return self.journals / pod / run_id

    def relay(self, digest: str) -> Path:
        """Return where a tree lies on its way from one pod to another."""
        return self.state / "relay" / digest

    @property
    def runpod(self) -> Path:
        """``runpod``: the key pair for RunPod's pods, and what is known of each."""
        return self.state / "runpod"

    @property
    def snapshots(self) -> Path:
        """``snapshots``."""
        return self.state / "snapshots"

    @property
    def hash_cache(self) -> Path:
        """``hashes.json``."""
        return self.state / "hashes.json"

    def code_hashes(self, project: Path) -> Path:
        """``code-hashes/<digest>.json``: those of a project's code."""
        digest = hashlib.sha256(os.fsencode(project.resolve())).hexdigest()[:16]
        return self.state / "code-hashes" / f"{digest}.json"

    @property
    def bug(self) -> Path:
        """``bug.log``: the traceback of the latest error that was not foreseen."""
        return self.state / "bug.log"

    @classmethod
    def of_user(cls) -> LaptopPaths:
        """``$MOOLA_STATE_DIR``, or the user's state folder after the XDG convention."""
        chosen = os.environ.get("MOOLA_STATE_DIR")
        if chosen:
            return cls(Path(chosen).expanduser().absolute())
        if sys.platform == "darwin":
            return cls(Path.home() / "Library" / "Application Support" / "moola")
        xdg = os.environ.get("XDG_STATE_HOME", "").strip()
        return cls((Path(xdg) if xdg else Path.home() / ".local" / "state") / "moola")
