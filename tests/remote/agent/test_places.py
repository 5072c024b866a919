"""Where a log's last lines begin, and what was written from a time on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moola_remote.agent import log_positions
from tests.support.pods import AgentPod, wait_until

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "log"


@given(st.lists(st.sampled_from([b"a", b"\n", b"bc", b"\r"]), max_size=30), st.integers(0, 9))
def test_the_last_lines_are_found_as_by_splitting(
    scratch: Path, parts: list[bytes], count: int
) -> None:
    content = b"".join(parts)
    scratch.write_bytes(content)
    lines = content.splitlines(keepends=True) if b"\r" not in content else split(content)
    expected = len(content) - len(b"".join(lines[-count:] if count else lines[len(lines) :]))
    if count == 0:  # the line that is being written is still to come
        expected = content.rfind(b"\n") + 1
    with scratch.open("rb") as log:
        assert log_positions.start_of_lines(log, len(content), count) == expected


def split(content: bytes) -> list[bytes]:
    *whole, rest = content.split(b"\n")
    return [line + b"\n" for line in whole] + ([rest] if rest else [])


def test_the_last_lines_of_a_large_log_are_found_quickly(scratch: Path) -> None:
    line = b"x" * 99 + b"\n"
    scratch.write_bytes(line * 100_000 + b"\n" * 1_000_000)
    with scratch.open("rb") as log:
        size = 11_000_000
        assert log_positions.start_of_lines(log, size, 1_000_000 + 3) == size - 1_000_000 - 300


def offset_of(pod: AgentPod, run_id: str, *words: Any) -> int:
    answer = pod.ask("locate", run_id, *map(str, words))
    assert answer["ok"], answer
    return int(answer["offset"])


def test_what_was_written_from_a_time_on_is_found(pod: AgentPod) -> None:
    go = '"$MOOLA_RUN_DIR/.go"'
    run_id = pod.shell(f"echo first; while [ ! -e {go} ]; do sleep 0.05; done; echo second")
    times = pod.folder(run_id) / ".moola" / ".times"
    wait_until(lambda: times.exists() and times.read_text().endswith(" 6\n"))
    between = time.time()
    (pod.folder(run_id) / ".go").touch()
    pod.wait(run_id)
    assert offset_of(pod, run_id, "--since", between) == 6
    assert offset_of(pod, run_id, "--since", between - 3600) == 0
    assert offset_of(pod, run_id, "--since", between, "--tail", 9) == 6
    assert offset_of(pod, run_id, "--since", between - 3600, "--tail", 1) == 6
    assert offset_of(pod, run_id, "--tail", 0) == 13


def test_a_clock_that_was_set_back_leaves_no_line_out(pod: AgentPod) -> None:
    run_id = pod.shell("echo first; echo second; echo third")
    pod.wait(run_id)
    times = pod.folder(run_id) / ".moola" / ".times"
    times.write_text("1000.0 6\n400.0 13\n500.0 19\n")
    # At 450 by the clock, the log had 13 bytes; but also 6, later on: the earlier counts.
    assert offset_of(pod, run_id, "--since", 450) == 0
    assert offset_of(pod, run_id, "--since", 1001) == 19
    times.write_text("1000.0 8\n")
    assert offset_of(pod, run_id, "--since", 1001) == 6  # the line that was being written
    times.write_text("1000.0 800\n")
    assert offset_of(pod, run_id, "--since", 1001) == 19  # it was cut since
    times.unlink()
    assert offset_of(pod, run_id, "--since", 1001) == 0


def test_an_empty_log_has_places_too(pod: AgentPod) -> None:
    run_id = pod.shell("true")
    pod.wait(run_id)
    assert offset_of(pod, run_id, "--tail", 5) == 0
    assert offset_of(pod, run_id, "--since", 0) == 0
