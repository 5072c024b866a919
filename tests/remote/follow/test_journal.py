"""The journal of a followed run: whole after a cut, a power loss, or another file."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from moola_remote.errors import LimitError
from moola_remote.follow import journal
from moola_remote.follow.journal import Journal
from tests.support.following import LINES, Laptop, Watcher
from tests.support.pods import AgentPod, wait_until

pytestmark = pytest.mark.process


def test_a_journal_knows_how_far_it_is_and_which_file_that_was(tmp_path: Path) -> None:
    with Journal(tmp_path / "pod" / "run") as journal:
        journal.begin("log", "1-2")
        journal.write("log", 0, b"hello ")
        journal.write("log", 6, b"world")
    with Journal(tmp_path / "pod" / "run") as journal:
        assert (journal.size("log"), journal.generation("log")) == (11, "1-2")
        assert b"".join(journal.read("log", 2, 8)) == b"llo wo"
        assert (journal.size("events"), journal.generation("events")) == (0, None)
        journal.restart("log")
        assert (journal.size("log"), journal.generation("log")) == (0, None)
    assert (tmp_path / "pod" / "run").stat().st_mode & 0o777 == 0o700


def test_a_journal_has_an_end_to_the_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MAX_JOURNAL_BYTES", 10)
    with Journal(tmp_path) as kept:
        kept.write("log", 0, b"0123456789")
        for offset, data in ((9, b"9a"), (10, b"a"), (0, b"0123456789a")):
            with pytest.raises(LimitError, match="expected at most"):
                kept.write("log", offset, data)
        assert kept.size("log") == 10


def test_what_the_system_writes_in_parts_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:3], offset))
    with Journal(tmp_path) as kept:
        kept.write("log", 0, b"0123456789")
        kept.write("log", 10, b"abcd")
        assert b"".join(kept.read("log", 0, 99)) == b"0123456789abcd"


def test_a_torn_note_of_the_offsets_is_no_harm(tmp_path: Path) -> None:
    (tmp_path / "offsets").write_text("{")
    with Journal(tmp_path) as journal:
        assert journal.generation("log") is None
        journal.begin("log", "1-2")
        assert journal.generation("log") == "1-2"


def test_two_followers_with_one_journal_each_see_everything(pod: AgentPod, laptop: Laptop) -> None:
    run_id = pod.shell(LINES)
    one, other = Watcher(), Watcher()
    thread = threading.Thread(target=laptop.follow, args=(run_id, one))
    thread.start()
    laptop.follow(run_id, other)
    thread.join()
    log = (pod.folder(run_id) / "log").read_bytes()
    assert log.endswith(one.log)
    assert log.endswith(other.log)
    assert (laptop.folder / run_id / "log").read_bytes() == log


@pytest.mark.parametrize("how", ["truncated", "replaced"])
def test_a_log_that_is_begun_anew_is_shown_anew(pod: AgentPod, laptop: Laptop, how: str) -> None:
    run_id = pod.shell('echo first words; while [ ! -e "$MOOLA_RUN_DIR/.go" ]; do sleep 0.02; done')
    pod.wait_for_log(run_id, "first")
    watcher = Watcher()
    thread = threading.Thread(target=laptop.follow, args=(run_id, watcher))
    thread.start()
    wait_until(lambda: watcher.log)
    log = pod.folder(run_id) / "log"
    if how == "truncated":
        os.truncate(log, 0)
        wait_until(lambda: watcher.notices)
        with log.open("a") as file:
            file.write("second\n")
    else:
        (pod.folder(run_id) / ".new").write_text("second\n")
        (pod.folder(run_id) / ".new").rename(log)
    wait_until(lambda: watcher.log.endswith(b"second\n"))
    (pod.folder(run_id) / ".go").touch()
    thread.join()
    assert watcher.log == b"first words\nsecond\n"
    assert [notice.text for notice in watcher.notices] == [
        f"log was {how} on the pod: from its beginning again"
    ]
    assert (laptop.folder / run_id / "log").read_bytes() == b"second\n"


def test_a_journal_of_another_file_is_not_added_to(pod: AgentPod, laptop: Laptop) -> None:
    run_id = pod.shell("echo the real log, of some length")
    pod.wait(run_id)
    with Journal(laptop.folder / run_id) as journal:
        journal.begin("log", "dead-beef")
        journal.write("log", 0, b"something else")
    watcher = Watcher()
    laptop.follow(run_id, watcher)
    assert watcher.log == b"the real log, of some length\n"
    assert (laptop.folder / run_id / "log").read_bytes() == watcher.log


@pytest.mark.parametrize("spoilt", [b"\0\0\0\0", b"????", b"log\n"])
@pytest.mark.parametrize("replay", [True, False])
def test_an_end_that_a_power_cut_has_spoilt_is_never_shown_and_comes_again(
    pod: AgentPod, laptop: Laptop, spoilt: bytes, replay: bool
) -> None:
    run_id = pod.shell("seq 3000; echo end of it")
    pod.wait(run_id)
    laptop.follow(run_id, Watcher())
    kept, log = laptop.folder / run_id / "log", (pod.folder(run_id) / "log").read_bytes()
    assert kept.read_bytes() == log
    kept.write_bytes(log[: -len(spoilt)] + spoilt)
    watcher = Watcher()
    laptop.follow(run_id, watcher, replay=replay)
    assert kept.read_bytes() == log
    assert watcher.log == log if replay else log.endswith(watcher.log)
    assert [notice.text for notice in watcher.notices] == (
        []
        if spoilt == b"\0\0\0\0"
        else ["log was different from the pod's: from its beginning again"]
    )


def test_a_journal_with_secrets_struck_out_is_the_same_as_the_pods(
    pod: AgentPod, laptop: Laptop
) -> None:
    run_id = pod.shell('echo "$TOKEN and more"; echo "$TOKEN"', secrets={"TOKEN": "s3cr3t-value"})
    pod.wait(run_id)
    laptop.follow(run_id, Watcher())
    watcher = Watcher()
    laptop.follow(run_id, watcher)
    assert watcher.notices == []
