"""The places where the main way is walked: the embedded pod, and OpenSSH."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from moola_remote.agent.constants import ENDED
from moola_remote.ssh.endpoint import Endpoint
from moola_remote.ssh.keeping import keeping
from tests.support.masters import end_masters
from tests.support.pods import AgentPod
from tests.support.prepared import prepare
from tests.support.projects import Project, make_project
from tests.support.servers import running_local_pod


@pytest.fixture(scope="session")
def local_state(local_pod: Endpoint) -> Path:
    """The state folder in which the embedded pod, running already, is the user's."""
    assert local_pod.identity_file
    return local_pod.identity_file.parents[1]


@pytest.fixture
def local_project(local_state: Path, local_pod: Endpoint, tmp_path: Path) -> Iterator[Project]:
    """A project whose pod is the embedded one."""
    yield make_project(tmp_path / "project", local_state)
    end_runs(local_pod)


@pytest.fixture
def host_project(openssh_server: Endpoint, tmp_path: Path) -> Iterator[Project]:
    """A project whose pod is an OpenSSH server."""
    yield make_project(tmp_path / "project", tmp_path / "state", openssh_server, "host")
    end_runs(openssh_server)
    end_masters(keeping(tmp_path / "state", 1))


def end_runs(endpoint: Endpoint) -> None:
    """What a failed test left running would keep the next one's run in the queue."""
    pod = AgentPod(Path(endpoint.root))
    for folder in (pod.root / "runs").glob("[!.]*"):
        if pod.stored(folder.name)["state"] not in ENDED:
            pod.ask("cancel", folder.name, "--grace", "0")


@pytest.fixture(params=["local_project", "host_project"])
def project(request: pytest.FixtureRequest) -> Project:
    """A project at each place in turn."""
    found: Project = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def alone(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project with an embedded pod of its own, which may be stopped and removed."""
    (tmp_path / "state").mkdir()
    prepare(tmp_path / "state" / "local-pod" / "root", tmp_path_factory)
    with running_local_pod(tmp_path / "state" / "local-pod") as endpoint:
        yield make_project(tmp_path / "project", tmp_path / "state")
        end_runs(endpoint)


@pytest.fixture
def offline(tmp_path: Path) -> Project:
    """A project that has no pod yet."""
    return make_project(tmp_path / "project", tmp_path / "state")
