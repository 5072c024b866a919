"""Safe text on its way to a terminal: at once, whole and in order."""

from __future__ import annotations

import io
import os
import signal
import threading
from pathlib import Path

import pytest

from moola_remote.text.terminal import writer


def test_a_text_is_there_at_once_after_what_was_printed_before(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w", encoding="utf-8") as file:
        print("before", file=file)
        put = writer(file)
        put("50% █\n")
        assert (tmp_path / "out").read_text(encoding="utf-8") == "before\n50% █\n"
        print("after", file=file)
    assert (tmp_path / "out").read_text(encoding="utf-8") == "before\n50% █\nafter\n"


def test_a_narrow_encoding_gets_escapes_and_no_crash(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w", encoding="latin-1") as file:
        writer(file)("é █\n")
        assert (tmp_path / "out").read_bytes() == b"\xe9 \\u2588\n"


@pytest.mark.parametrize("file", [io.StringIO(), io.TextIOWrapper(io.BytesIO(), encoding="utf-8")])
def test_a_file_without_a_descriptor_is_written_to_as_ever(file: io.TextIOBase) -> None:
    writer(file)("é\n")  # type: ignore[arg-type]
    file.seek(0)
    assert file.read() == "é\n"


def test_a_write_that_a_signal_cuts_is_continued() -> None:
    cut, text = threading.Event(), "".join(f"{number}\n" for number in range(100_000))
    reading, writing = os.pipe()
    found: list[bytes] = []

    def read() -> None:
        cut.wait()
        while block := os.read(reading, 1 << 16):
            found.append(block)

    reader = threading.Thread(target=read)
    reader.start()
    before = signal.signal(signal.SIGALRM, lambda *_: cut.set())
    try:
        with os.fdopen(writing, "w", encoding="utf-8") as file:
            put = writer(file)
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            put(text)
    finally:
        signal.signal(signal.SIGALRM, before)
        cut.set()
        reader.join()
        os.close(reading)
    assert b"".join(found).decode() == text


def test_a_reader_that_is_gone_is_an_error_at_once() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as file:
        put = writer(file)
        with pytest.raises(BrokenPipeError):
            put("x\n")
