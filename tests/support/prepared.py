"""What a new pod is sent and makes first, put there as if an earlier command had done it.

Making the environment of a project that needs no packages imports torch, to learn of GPUs.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from moola_remote.deploy.declared import Dependencies
from tests.support.pods import AgentPod, put_agent
from tests.support.shared import made_once


def prepare(root: Path, factory: pytest.TempPathFactory) -> None:
    """Put the agent and that environment into the folder of a pod that nobody has used."""
    made = made_once(factory, "environment", _make_environment)
    root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    put_agent(str(root))
    shutil.copytree(made / "root" / "env", root / "env", symlinks=True)


def _make_environment(folder: Path) -> None:
    pod, needs = AgentPod(folder / "root"), Dependencies()
    digest = needs.digest(pod.ask("probe")["python"])
    answer = pod.ask("environment", digest, "--python", sys.executable, stdin=needs.asked)
    assert answer["ok"], answer
