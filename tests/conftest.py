"""What every test may rely on: a HOME that isn't the user's, and SSH servers on loopback."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from moola_remote.ssh.endpoint import Endpoint
from tests.support.browsing import find_chromium
from tests.support.collecting import (
    freeze_modules,
    has_no_unit,
    let_loggers_propagate,
    pause_gc,
)
from tests.support.lanes import StartedProcesses, assign, lane_of, put_slow_files_first
from tests.support.oracles import FilesByOracle
from tests.support.pods import share_cache
from tests.support.prepared import prepare
from tests.support.servers import SSHD, running_local_pod, running_openssh

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# How long a case takes on a busy machine is no finding. `make test` tries the same ones each time.
settings.register_profile("short", deadline=None, derandomize=True)
# `make unit`, between two edits: the first of these.
settings.register_profile("brief", settings.get_profile("short"), max_examples=30)
settings.register_profile(
    "long",
    deadline=None,
    max_examples=int(os.environ.get("MOOLA_FUZZ_CASES", "10000")),
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("short")

# Started in the background of a shell, as a CI may, we inherit an ignored SIGINT, with nohup an
# ignored SIGHUP, and so does every program that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Of torch, numpy and all that is started: the processors are shared by workers and their servers,
# and threads that wait for one another spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# matplotlib looks through the fonts once, not in the HOME of each session.
os.environ.setdefault("MPLCONFIGDIR", str(Path(sys.prefix, "matplotlib")))

STARTED = StartedProcesses()
pause_gc()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """For ``-m unit...``, import no file whose tests are all of another lane."""
    units = str(config.option.markexpr).startswith("unit")
    return True if units and has_no_unit(collection_path) else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FilesByOracle | None:
    """For ``-m unit...``, have one worker load a heavy library that several files compare with."""
    is_ours = config.option.dist == "loadfile" and str(config.option.markexpr).startswith("unit")
    return FilesByOracle(config, log) if is_ours else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests into lanes, before ``-m`` chooses among them."""
    assign(items)
    if os.environ.get("PYTEST_XDIST_WORKER"):
        put_slow_files_first(items)


def pytest_collection_finish() -> None:
    """Prepare for many tests what was imported for them."""
    freeze_modules()
    let_loggers_propagate()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Fail a unit test that starts a process; its fixtures belong to the session or to others."""
    if lane_of(pyfuncitem) != "unit":
        return (yield)
    before = STARTED.number
    with pytest.MonkeyPatch.context() as patch:
        # Nobody cuts its power, and each call waits for the disk: milliseconds of a busy one.
        patch.setattr(os, "fsync", os.fstat)
        result = yield
    if STARTED.number > before:
        pytest.fail("a unit test started a process; mark it with pytest.mark.process")
    return result


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test reads or writes the user's own files: not HOME's, not our state."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("MOOLA_STATE_DIR", str(home / "state"))
        patch.delenv("SSH_AUTH_SOCK", raising=False)
        yield home


@pytest.fixture(scope="session")
def local_pod(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """The embedded pod, one for the whole session."""
    with running_local_pod(tmp_path_factory.mktemp("pod") / "local-pod") as endpoint:
        prepare(Path(endpoint.root), tmp_path_factory)
        share_cache(Path(endpoint.root), tmp_path_factory)
        yield endpoint


@pytest.fixture(scope="session")
def openssh_server(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """OpenSSH's sshd, one for the whole session; skipped where it isn't installed."""
    if not SSHD.exists():
        pytest.skip("no OpenSSH server here: apt install openssh-server")
    with running_openssh(tmp_path_factory.mktemp("openssh") / "sshd") as endpoint:
        prepare(Path(endpoint.root), tmp_path_factory)
        share_cache(Path(endpoint.root), tmp_path_factory)
        yield endpoint


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The Chromium of the system; skipped where it isn't installed, but not in CI."""
    from playwright.sync_api import sync_playwright

    path = find_chromium()
    if path is None:
        assert not os.environ.get("CI"), "CI needs a browser: make browser"
        pytest.skip("no Chromium here: make browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        yield browser
        browser.close()
