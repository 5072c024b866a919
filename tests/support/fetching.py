"""A run that has ended, on a pod that may lie about it, and what a fetch of it leaves here."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from moola_remote.agent_client.client import Agent
from moola_remote.errors import MoolaError, TransferError
from moola_remote.results.fetch import fetch_run
from moola_remote.results.fetched import Fetched
from moola_remote.ssh.transport import Transport
from tests.support.plain import is_one_line
from tests.support.pods import put_agent

RUN = "20260101-000000-x-abcd"
FILES = {
    "log": b"said\n",
    "artifacts/model.safetensors": b"weights",
    "artifacts/sub/metrics.json": b"{}",
    "checkpoints/epoch-0001/state": os.urandom(300_000),
}


def content_of(folder: Path) -> dict[str, bytes]:
    """The files below a folder, less what the fetch itself writes."""
    files = (path for path in folder.rglob("*") if path.is_file())
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    for ours in ("manifest.json", "state.json"):
        found.pop(ours, None)
    return found


class Pod:
    """A pod's folder with one run that has ended, and where it is fetched to.

    `files` are what the manifest declares; whatever `spoil` does to the run's folder comes after.
    """

    def __init__(self, top: Path, transport: Transport, python: str) -> None:
        self.run = top / "root" / "runs" / RUN
        self.results = top / "results"
        self.final = self.results / RUN
        self.staging = self.results / f".staging-{RUN}"
        self.transport = transport
        self.agent = self.agent_of(top, transport, python)
        self.write(FILES)

    @staticmethod
    def agent_of(top: Path, transport: Transport, python: str) -> Agent:
        """Return its agent over another connection."""
        put_agent(str(top / "root"))
        return Agent(transport, root=str(top / "root"), python=python)

    def write(self, files: dict[str, bytes], **declared: Any) -> None:
        for path, content in files.items():
            (self.run / path).parent.mkdir(parents=True, exist_ok=True)
            (self.run / path).write_bytes(content)
        entries = [
            {"path": path, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for path, content in sorted(files.items())
        ]
        self.declare({"schema": 1, "run_id": RUN, "files": entries, **declared})

    def declare(self, manifest: dict[str, Any]) -> None:
        content = json.dumps(manifest).encode()
        (self.run / "manifest.json").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        state = {"schema": 1, "run_id": RUN, "state": "SUCCEEDED", "manifest_sha256": digest}
        (self.run / "state.json").write_text(json.dumps(state))

    def declare_file(self, **changes: Any) -> None:
        manifest = json.loads((self.run / "manifest.json").read_bytes())
        manifest["files"][0].update(changes)
        self.declare(manifest)

    def stage(self, path: str) -> None:
        """Put a file where a fetch that was cut off leaves it."""
        (self.staging / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(self.run / path, self.staging / path)

    def fetch(self, what: Any = "all", **options: Any) -> Fetched:
        return fetch_run(self.transport, self.agent, RUN, self.results, what=what, **options)

    def refusal(self, kind: type[MoolaError] = TransferError, **options: Any) -> str:
        """What a fetch says that must fail; nothing may be promoted by it."""
        with pytest.raises(kind) as caught:
            self.fetch(**options)
        assert not self.final.exists()
        assert is_one_line(str(caught.value))
        return str(caught.value)

    def lacking(self, **options: Any) -> dict[str, str]:
        """What a fetch lists as missing, with the reason; all else has come as it was declared."""
        fetched = self.fetch(**options)
        content = content_of(self.final) if self.final.exists() else {}
        missing = {one.path: one.why for one in fetched.missing}
        assert content == {path: data for path, data in FILES.items() if path not in missing}
        assert not any(path.is_symlink() for path in self.results.rglob("*"))
        assert all(is_one_line(why) for why in missing.values())
        return missing
