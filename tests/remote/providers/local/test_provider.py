"""The local pod comes up once, ends when asked, and touches no process but its server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from moola_remote.config.settings import PodConfig
from moola_remote.errors import ConfigError, UnreachableError
from moola_remote.providers import provider_for
from moola_remote.providers.local.provider import LocalProvider
from moola_remote.providers.local.state import VERSION, LocalPodFolder, identity_of
from tests.remote.providers.conftest import Client
from tests.support.lanes import HANGS_S
from tests.support.servers import changed_signals, ssh_options

pytestmark = pytest.mark.process

UP = """
import sys
from pathlib import Path
from moola_remote.providers.local.state import LocalPodFolder
from moola_remote.providers.local.provider import LocalProvider
print(LocalProvider("local", LocalPodFolder(Path(sys.argv[1]))).up().port)
"""


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[LocalProvider]:
    provider = LocalProvider("local", LocalPodFolder(tmp_path / "state of 'mine'" / "local-pod"))
    yield provider
    provider.stop()


def client_of(provider: LocalProvider, tmp_path: Path) -> Client:
    endpoint = provider.endpoint()
    return Client(endpoint, ssh_options(endpoint, tmp_path))


def test_up_says_where_and_up_again_finds_the_same_server(provider: LocalProvider) -> None:
    endpoint = provider.up()
    assert provider.up() == provider.endpoint() == endpoint
    assert (endpoint.host, endpoint.python) == ("127.0.0.1", sys.executable)
    assert Path(endpoint.root).is_dir()
    assert endpoint.host_key
    assert endpoint.host_key.startswith("SHA256:")


def test_many_ups_at_once_start_one_server(provider: LocalProvider) -> None:
    argv = [sys.executable, "-c", UP, str(provider.folder.path)]
    starts = [subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    ports = {start.communicate(timeout=HANGS_S)[0] for start in starts}
    assert ports == {f"{provider.endpoint().port}\n"}
    assert provider.folder.log.read_text().count("serving") == 1


def test_keys_and_record_are_for_the_owner_alone(provider: LocalProvider) -> None:
    provider.up()
    folder = provider.folder
    for path in (folder.host_key, folder.client_key, folder.record):
        assert path.stat().st_mode & 0o777 == 0o600
    assert folder.path.stat().st_mode & 0o777 == 0o700


def test_stop_ends_the_server_and_can_be_repeated(provider: LocalProvider) -> None:
    provider.stop()
    provider.up()
    pid = _pid(provider)
    provider.stop()
    provider.stop()
    assert not _serves(pid)
    assert provider.status().state == "stopped"
    with pytest.raises(UnreachableError, match="not running; moola-remote --pod local up"):
        provider.endpoint()


def test_keys_stay_over_a_stop_and_only_the_port_may_change(provider: LocalProvider) -> None:
    first = provider.up()
    provider.stop()
    assert replace(provider.up(), port=first.port) == first


def test_a_killed_server_is_not_believed_and_comes_up_again(provider: LocalProvider) -> None:
    provider.up()
    pid = _pid(provider)
    os.kill(pid, signal.SIGKILL)
    while identity_of(pid):  # the pytest timeout is the deadline
        time.sleep(0.01)
    assert provider.status().state == "stopped"
    assert provider.up() == provider.endpoint()


def test_a_reused_pid_is_neither_believed_nor_signalled(provider: LocalProvider) -> None:
    provider.up()
    record = provider.folder.read_record()
    assert record
    provider.stop()
    with subprocess.Popen(["sleep", "60"]) as innocent:
        provider.folder.write_record(replace(record, pid=innocent.pid))
        assert provider.status().state == "stopped"
        provider.stop()
        assert innocent.poll() is None
        provider.up()
        assert innocent.poll() is None
        innocent.kill()


def test_a_server_of_another_version_is_replaced(provider: LocalProvider) -> None:
    provider.up()
    record = provider.folder.read_record()
    assert record
    provider.folder.write_record(replace(record, version=VERSION + 1))
    provider.up()
    assert not _serves(record.pid)
    assert provider.folder.running()


def test_a_process_outlives_the_server(provider: LocalProvider, tmp_path: Path) -> None:
    provider.up()
    line = f"setsid sleep 600 >/dev/null 2>&1 </dev/null & echo $! >{tmp_path}/pid"
    assert client_of(provider, tmp_path).ssh(line).returncode == 0
    pid = int((tmp_path / "pid").read_text())
    provider.stop()
    os.kill(pid, 0)
    os.kill(pid, signal.SIGKILL)


def test_a_command_sees_nothing_of_the_shell_that_called_up(
    provider: LocalProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUNPOD_API_KEY", "secret")
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        provider.up()
    finally:
        signal.signal(signal.SIGHUP, previous)
    done = client_of(provider, tmp_path).ssh("env; grep SigIgn /proc/self/status")
    assert b"secret" not in done.stdout
    assert changed_signals(done.stdout.decode().splitlines()[-1]) == 0


def test_the_log_keeps_the_begin_of_a_long_command_line_alone(
    provider: LocalProvider, tmp_path: Path
) -> None:
    provider.up()
    client = client_of(provider, tmp_path)
    client.ssh(f": {'x' * 100_000}")
    assert provider.folder.log.stat().st_size < 2_000


def test_a_start_that_fails_says_why(provider: LocalProvider) -> None:
    provider.folder.path.mkdir(parents=True)
    provider.folder.host_key.write_text("no key")
    with pytest.raises(UnreachableError, match=r"host_key: not a private key, remove it .*log"):
        provider.up()


def test_a_spoilt_record_is_named(provider: LocalProvider) -> None:
    provider.folder.path.mkdir(parents=True)
    provider.folder.record.write_text("half a rec")
    with pytest.raises(ConfigError, match=r"pod\.json: not a record of the local pod; rm "):
        provider.status()
    provider.folder.record.unlink()


def test_down_keeps_the_data_unless_asked(provider: LocalProvider) -> None:
    root = Path(provider.up().root)
    (root / "runs" / "one").mkdir(parents=True)
    provider.down(remove_data=False)
    assert (root / "runs" / "one").is_dir()
    provider.down(remove_data=True)
    provider.down(remove_data=True)
    assert [path.name for path in provider.folder.path.iterdir()] == ["server.lock"]
    assert provider.status().state == "absent"
    provider.up()


def test_the_provider_of_a_local_pod_lies_in_the_users_state(home: Path) -> None:
    provider = provider_for(PodConfig(name="local", provider="local"))
    assert isinstance(provider, LocalProvider)
    assert provider.folder.path == home / "state" / "local-pod"


def test_a_key_that_the_local_pod_chooses_itself_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"configs/pods/mine\.yaml: port: chosen by the local pod"
    ):
        provider_for(PodConfig(name="mine", provider="local", given=frozenset({"port"})))


def _pid(provider: LocalProvider) -> int:
    pid: int = json.loads(provider.folder.record.read_text())["pid"]
    return pid


def _serves(pid: int) -> bool:
    path = Path(f"/proc/{pid}/cmdline")
    return path.exists() and b"moola_remote.providers.sshd" in path.read_bytes()


def test_a_home_that_is_not_there_is_no_reason_not_to_serve(
    provider: LocalProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    assert provider.up().port > 0
