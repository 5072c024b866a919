"""Runs whose files or manifest are damaged: what is fetched, and what is named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from moola_remote.errors import TransferError
from moola_remote.results.fetch import fetch_run
from tests.support.fetching import FILES, Pod, content_of

pytestmark = pytest.mark.process


def _swap_file_for_link(run: Path) -> None:
    (run / "log").unlink()
    (run / "log").symlink_to("/etc/passwd")


def _swap_folder_for_link(run: Path) -> None:
    shutil.move(run / "artifacts", run / "elsewhere")
    (run / "artifacts").symlink_to("/etc")


def _swap_file_for_fifo(run: Path) -> None:
    (run / "log").unlink()
    os.mkfifo(run / "log")


def _make_sparse(run: Path) -> None:
    os.truncate(run / "log", 10 * 2**40)


SPOILS: list[tuple[str, Callable[[Path], object]]] = [
    ("log", _swap_file_for_link),
    ("artifacts/model.safetensors artifacts/sub/metrics.json", _swap_folder_for_link),
    ("log", _swap_file_for_fifo),
    ("log", _make_sparse),
    ("log", lambda run: (run / "log").unlink()),
    ("log", lambda run: (run / "log").write_bytes(b"other")),
    ("log", lambda run: (run / "log").write_bytes(b"sai")),
    ("log", lambda run: (run / "log").write_bytes(b"said\nand more")),
]


@pytest.mark.parametrize("way", ["by_agent", "by_rsync"])
@pytest.mark.parametrize(("names", "spoil"), SPOILS)
def test_what_is_spoiled_is_named_and_costs_no_other(
    names: str,
    spoil: Callable[[Path], object],
    way: str,
    pod: Pod,
    request: pytest.FixtureRequest,
) -> None:
    if way == "by_rsync":
        request.getfixturevalue(way)
    spoil(pod.run)
    missing = pod.lacking()
    assert sorted(missing) == names.split()
    assert set(missing.values()) == {"missing, or not as the manifest says"}
    staged = [path for path in pod.staging.rglob("*") if not path.is_dir()]
    assert sum(path.stat().st_size for path in staged) < 1_000_000


def test_nothing_is_promoted_by_a_manifest_that_is_none(pod: Pod) -> None:
    (pod.run / "manifest.json").write_bytes(b"{}")
    pod.refusal()


def test_a_manifest_that_is_gone_is_made_again(pod: Pod) -> None:
    (pod.run / "manifest.json").unlink()
    assert pod.lacking() == {}


def test_a_manifest_that_the_state_does_not_name_is_refused(pod: Pod) -> None:
    state = (pod.run / "state.json").read_bytes()
    pod.write({**FILES, "log": b"other"})
    (pod.run / "state.json").write_bytes(state)
    assert "not the one that state.json names" in pod.refusal()


def test_a_manifest_of_a_gigabyte_is_not_read_to_its_end(pod: Pod) -> None:
    os.truncate(pod.run / "manifest.json", 10**9)
    assert "manifest.json: larger than 67108864 bytes" in pod.refusal()


def test_a_repaired_run_is_fetched_after_all(pod: Pod) -> None:
    times = (pod.run / "log").stat()
    (pod.run / "log").write_bytes(b"SAID\n")
    os.utime(pod.run / "log", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert set(pod.lacking()) == {"log"}
    (pod.run / "log").write_bytes(b"said\n")
    os.utime(pod.run / "log", ns=(times.st_atime_ns, times.st_mtime_ns))
    pod.fetch()
    assert content_of(pod.final) == FILES


@pytest.mark.parametrize("path", ["../../x", "/etc/passwd", "artifacts"])
def test_a_manifest_that_names_what_it_may_not_is_refused_whole(path: str, pod: Pod) -> None:
    pod.declare_file(path=path)
    pod.refusal()
    assert not pod.staging.exists()


def test_an_odd_name_is_shown_escaped(pod: Pod) -> None:
    pod.declare_file(path="a\x1b[2Jb")
    (missing,) = pod.fetch().missing
    assert "\x1b" not in missing.path
    assert "[2Jb" in missing.path


def test_a_run_id_is_no_path(pod: Pod) -> None:
    for run_id in ("../x", "/etc", "", "a" * 65, "A", ".", "x\n"):
        with pytest.raises(TransferError, match="not a run id"):
            fetch_run(pod.transport, pod.agent, run_id, pod.results)
