"""The guard stops its pod whatever fails: the clock, the disk, process numbers, its own life."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from moola_remote.agent import activity, state
from moola_remote.agent.layout import Pod
from moola_remote.agent.locks import is_locked
from moola_remote.agent.watchdog import read_settings
from tests.support.lanes import HANGS_S
from tests.support.pods import AGENT, AgentPod, is_alive, wait_until
from tests.support.stop_api import Api

pytestmark = pytest.mark.process

DAY_S = 86400.0
ANOTHER_USER = 64999  # root has no limit of process numbers


@pytest.fixture
def make_api() -> Iterator[Callable[[float], Api]]:
    """Makes APIs, each with a clock that is so many seconds ahead of this machine's."""
    made: list[Api] = []

    def make(ahead_s: float) -> Api:
        made.append(Api(ahead_s))
        return made[-1]

    yield make
    for api in made:
        api.close()


@pytest.fixture
def api(make_api: Callable[[float], Api]) -> Api:
    return make_api(0.0)


@pytest.fixture
def rented(pod: AgentPod) -> AgentPod:
    pod.env = {"RUNPOD_POD_ID": "p1", "RUNPOD_API_KEY": "key"}
    return pod


def on_watch(pod: AgentPod) -> bool:
    return is_locked(pod.root / "guard.lock")


def guarded(pod: AgentPod, settings: dict[str, Any]) -> dict[str, Any]:
    """Set a guard, and wait until it is on watch, or has stopped the pod; the verb's answer."""
    answer = pod.ask("guard", stdin=settings)
    wait_until(lambda: on_watch(pod) or "stopping" in _log(pod))
    return answer


def kill_guard(pod: AgentPod) -> None:
    pod.end_guard()
    wait_until(lambda: not on_watch(pod))


def stays_up(api: Api, for_s: float = 1.0) -> bool:
    until = time.monotonic() + for_s
    wait_until(lambda: time.monotonic() > until)
    return not api.stops


@pytest.mark.parametrize("words", [("probe",), ("list",), ("idle",), ("room", "1")])
def test_any_verb_brings_a_killed_guard_back(
    rented: AgentPod, api: Api, words: tuple[str, ...]
) -> None:
    guarded(rented, api.settings(stop_at=api.now() + 600))
    kill_guard(rented)
    path = rented.root / "guard.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "stop_at": api.now()}))
    rented.ask(*words)
    wait_until(lambda: api.stops)


def test_a_supervisor_brings_it_back_with_nobody_there_and_leaves_it_there(
    rented: AgentPod, api: Api
) -> None:
    run_id = rented.start("sleep", "600", gpu=-1)
    rented.wait(run_id, "RUNNING")
    guarded(rented, api.settings())
    kill_guard(rented)
    wait_until(lambda: on_watch(rented))
    os.kill(rented.process(run_id, "job"), signal.SIGKILL)
    state = rented.wait(run_id)
    assert state["killed"] == 0  # the guard is no process of the run
    assert on_watch(rented)


def test_a_pod_that_has_no_guard_is_given_none(rented: AgentPod) -> None:
    rented.ask("probe")
    rented.ask("list")
    assert not (rented.root / "guard.lock").exists()


def test_a_pods_clock_that_is_a_day_behind_does_not_stop_it_late(
    rented: AgentPod, make_api: Callable[[float], Api]
) -> None:
    api = make_api(DAY_S)
    answer = guarded(rented, api.settings(stop_at=api.now() + 1.5))
    assert answer["now"] == pytest.approx(api.now(), abs=3600)
    wait_until(lambda: api.stops)


def test_a_pods_clock_that_is_a_day_ahead_does_not_stop_it_early(
    rented: AgentPod, make_api: Callable[[float], Api]
) -> None:
    api = make_api(-DAY_S)
    guarded(rented, api.settings(stop_at=api.now() + 600))
    assert stays_up(api)
    reported = wait_until(lambda: (now := rented.ask("idle"))["idle_s"] is not None and now)
    assert 500 < reported["stops_in_s"] <= 602


def test_without_the_apis_time_the_one_that_was_kept_counts(
    rented: AgentPod, api: Api, make_api: Callable[[float], Api]
) -> None:
    late = make_api(DAY_S)
    guarded(rented, late.settings(stop_at=late.now() + 600))
    kill_guard(rented)
    kept = read_settings(Pod(rented.root))
    assert kept is not None
    late.close()
    # By the pod's clock that is in a day; the API is gone.
    (rented.root / "guard.json").write_text(json.dumps({**kept, "stop_at": late.now() - 1}))
    rented.ask("probe")
    wait_until(lambda: "stopping" in _log(rented))
    # It is back, and hears the stop.
    (rented.root / "guard.json").write_text(json.dumps({**kept, "api": api.url, "stop_at": 1}))
    wait_until(lambda: api.stops)


def _log(pod: AgentPod) -> str:
    log = pod.root / "guard.log"
    return log.read_text(encoding="utf-8") if log.exists() else ""


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 200, b"[]", b"{", b'{"api": 5}', b'{"api": "x", "stop_at": "never"}', None],
)
def test_damaged_settings_are_passed_over(
    rented: AgentPod, api: Api, content: bytes | None
) -> None:
    guarded(rented, api.settings(stop_at=api.now() + 1.5))
    wait_until(lambda: (rented.root / "guard.seen.json").exists() or api.stops)
    if content is None:
        (rented.root / "guard.json").unlink()
    else:
        (rented.root / "guard.json").write_bytes(content)
    wait_until(lambda: api.stops)


@pytest.mark.parametrize("wrong", [{"stop_at": "soon"}, {"idle_stop_s": True}, {"api": None}])
def test_settings_of_a_wrong_kind_are_refused(
    rented: AgentPod, api: Api, wrong: dict[str, Any]
) -> None:
    answer = rented.ask("guard", stdin=api.settings(**wrong))
    assert answer["error"] == "bad_request"
    assert next(iter(wrong)) in answer["message"]
    assert not on_watch(rented)


def test_a_pod_that_was_started_anew_is_not_stopped_by_its_old_deadline(
    rented: AgentPod, api: Api
) -> None:
    guarded(rented, api.settings(stop_at=api.now() + 600))
    kill_guard(rented)
    path = rented.root / "guard.json"
    kept = json.loads(path.read_bytes())
    path.write_text(json.dumps({**kept, "boot": "another", "stop_at": api.now() - 60}))
    rented.ask("probe")
    wait_until(lambda: on_watch(rented))
    assert stays_up(api)
    rented.ask("guard", stdin=api.settings(stop_at=api.now() + 0.5))
    wait_until(lambda: api.stops)


BARE = """
import os, resource, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from moola_remote.agent import activity
from moola_remote.agent.layout import Pod
from moola_remote.agent.watchdog import Guard, prepare_imports
guard = Guard(Pod(Path(sys.argv[2])), {"api": sys.argv[3], "stop_at": 1, "tick_s": 0.05})
prepare_imports()
sys.meta_path.clear(); sys.path_hooks.clear(); sys.path.clear()  # no import any more
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # not a byte can be written
resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))  # no process, no thread
if os.getuid() == 0:
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)  # and no file of the pod can be read
for start in (os.fork, guard.have_worker):
    try:
        if start() == 0: os._exit(0)
    except OSError:
        pass
assert guard.worker is None
guard.live()
""".replace("USER", str(ANOTHER_USER))


def test_the_stop_needs_no_disk_no_process_and_no_import(
    rented: AgentPod, api: Api, tmp_path: Path
) -> None:
    run_id = rented.shell("sleep 600", gpu=-1)
    rented.wait(run_id, "RUNNING")
    argv = [sys.executable, "-ISB", "-c", BARE, str(AGENT), str(rented.root), api.url]
    env = {**os.environ, **rented.env}
    done = subprocess.run(
        argv, env=env, capture_output=True, timeout=HANGS_S, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr.decode()
    assert len(api.stops) == 1


HELPLESS = """
import os, resource, signal, sys
sys.path.insert(0, sys.argv[1])
sys.argv[0] = sys.argv[1]
from pathlib import Path
from moola_remote.agent.activity import Activity
from moola_remote.agent import activity
from moola_remote.agent.layout import Pod
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
Activity(Pod(Path(sys.argv[2]))).end_runs("over")
"""


def test_a_job_that_can_not_be_asked_in_writing_is_sent_the_signal(rented: AgentPod) -> None:
    run_id = rented.shell("sleep 600", gpu=-1)
    rented.wait(run_id, "RUNNING")
    argv = [sys.executable, "-ISB", "-c", HELPLESS, str(AGENT), str(rented.root)]
    subprocess.run(argv, check=True, timeout=HANGS_S)
    state = rented.wait(run_id)
    assert (state["state"], state["signal"]) == ("FAILED", "SIGTERM")


def test_an_end_that_is_not_recorded_is_not_waited_for(
    rented: AgentPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = 'while [ ! -e "$MOOLA_RUN_DIR/go" ]; do sleep 0.02; done'
    run_id = rented.shell(waits, gpu=-1)
    rented.wait(run_id, "RUNNING")
    job, supervisor = rented.process(run_id, "job"), rented.process(run_id, "supervisor")
    os.kill(supervisor, signal.SIGSTOP)  # as one whose every write waits, or fails
    try:
        (rented.folder(run_id) / "go").touch()
        wait_until(lambda: not is_alive(job))
        monkeypatch.setattr(activity, "GRACE_S", 0.2)
        monkeypatch.setattr(state, "SILENT_S", 1.0)
        monkeypatch.setattr(activity, "END_RUNS_S", 2 * HANGS_S)
        began = time.monotonic()
        activity.Activity(Pod(rented.root)).end_runs("over")
        assert time.monotonic() - began < HANGS_S
        assert rented.stored(run_id)["state"] == "RUNNING"
    finally:
        os.kill(supervisor, signal.SIGCONT)
    assert rented.wait(run_id)["state"] == "SUCCEEDED"


def test_a_cost_limit_without_a_price_is_refused(pod: AgentPod) -> None:
    spec = {"run_id": "r-1", "argv": ["true"], "limits": {"max_cost_usd": 1.0}}
    answer = pod.ask("start", stdin=spec)
    assert answer["error"] == "bad_request"
    assert "price_per_hour" in answer["message"]
    assert not (pod.root / "runs" / "r-1").exists()
    assert pod.ask("start", stdin={**spec, "price_per_hour": 0.5})["ok"]
