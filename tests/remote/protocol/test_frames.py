"""Frames from any bytes, cut anywhere."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moola_remote.errors import ConfigError, MoolaError, TransferError
from moola_remote.protocol.frames import (
    Data,
    Frame,
    FrameParser,
    Heartbeat,
    Opened,
    Restarted,
    StateFrame,
)

FILES = st.sampled_from(["log", "events"])
OFFSETS = st.integers(0, 1 << 40)
FRAMES = st.one_of(
    st.builds(Opened, FILES, st.sampled_from(["1-2", "fd00-1234abcd"]), OFFSETS),
    st.builds(Data, FILES, OFFSETS, st.binary(min_size=1, max_size=20)),
    st.builds(Restarted, FILES, st.sampled_from(["truncated", "replaced"])),
    st.just(Heartbeat()),
    st.builds(StateFrame, st.fixed_dictionaries({"reason": st.text(max_size=20)}), st.booleans()),
)


def encoded(frame: Frame) -> bytes:
    if isinstance(frame, Data):
        return f"D {frame.file} {frame.offset} {len(frame.data)}\n".encode() + frame.data
    if isinstance(frame, Opened):
        return f"S {frame.file} {frame.generation} {frame.size}\n".encode()
    if isinstance(frame, Restarted):
        return f"R {frame.file} {frame.why}\n".encode()
    if isinstance(frame, Heartbeat):
        return b"H 1795379568.5\n"
    payload = json.dumps(frame.state).encode()
    return f"{'E' if frame.is_last else 'P'} {len(payload)}\n".encode() + payload


def joined(frames: list[Frame]) -> list[Frame]:
    """Neighbouring parts of data as one."""
    whole: list[Frame] = []
    for frame in frames:
        last = whole[-1] if whole else None
        if (
            isinstance(frame, Data)
            and isinstance(last, Data)
            and (last.file, last.offset + len(last.data)) == (frame.file, frame.offset)
        ):
            whole[-1] = Data(last.file, last.offset, last.data + frame.data)
        else:
            whole.append(frame)
    return whole


# The machine may be busy: how long a case takes is no finding.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(FRAMES, max_size=6), st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_wherever_the_stream_is_cut_the_frames_are_the_same(
    frames: list[Frame], sizes: list[int]
) -> None:
    stream = b"".join(map(encoded, frames))
    parser, at, turn = FrameParser(), 0, 0
    found: list[Frame] = []
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        found += parser.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert joined(found) == joined(frames)


def test_each_frame_comes_with_the_byte_that_completes_it() -> None:
    frames: list[Frame] = [
        Opened("log", "1-2", 3),
        Data("log", 0, b"a\nD log 3 1\n"),
        Data("events", 7, b"\n"),
        StateFrame({"state": "RUNNING"}, is_last=False),
        Heartbeat(),
        Restarted("log", "truncated"),
        StateFrame({}, is_last=True),
    ]
    parser = FrameParser()
    for frame in frames:
        *whole, last = encoded(frame)
        before = list(parser.feed(bytes(whole)))
        if isinstance(frame, Data):
            assert joined([*before, *parser.feed(bytes([last]))]) == [frame]
        else:
            assert before == []
            assert list(parser.feed(bytes([last]))) == [frame]


def test_a_long_piece_of_data_is_handed_on_as_it_comes() -> None:
    parser = FrameParser()
    assert list(parser.feed(b"D log 5 1000000\n" + b"a" * 10)) == [Data("log", 5, b"a" * 10)]
    assert list(parser.feed(b"b" * 20)) == [Data("log", 15, b"b" * 20)]
    rest = 1_000_000 - 30
    assert list(parser.feed(b"c" * rest + b"D events 0 1\n")) == [Data("log", 35, b"c" * rest)]
    assert list(parser.feed(b"{H 1.0\n")) == [Data("events", 0, b"{"), Heartbeat()]


def test_data_of_no_length_is_no_frame_but_no_fault_either() -> None:
    assert list(FrameParser().feed(b"D log 5 0\nD log 5 1\nx")) == [Data("log", 5, b"x")]


def test_what_came_before_a_fault_is_handed_on() -> None:
    frames = FrameParser().feed(b"D log 0 1\nx\x1b[2J\n")
    assert next(frames) == Data("log", 0, b"x")
    with pytest.raises(TransferError):
        next(frames)


@given(st.binary(max_size=200))
def test_no_bytes_whatever_make_the_parser_fail_otherwise(data: bytes) -> None:
    with contextlib.suppress(MoolaError):
        list(FrameParser().feed(data))


@pytest.mark.parametrize(
    "stream",
    [
        b"Welcome to RunPod!\n",
        b"D log -1 5\n",
        b"D ../x 0 5\n",
        b"D log 0\n",
        b"D log 0 -1\n",
        b"D log 0 1_\n",
        b"D log 0 5.0\nabcde",
        b"D other 0 5\nabcde",
        b"D log \xd9\xa1 5\nabcde",
        b"D log 4611686018427387905 1\nx",
        b"D log 0 4611686018427387905\nx",
        b"D log 0 " + b"9" * 5_000 + b"\nx",
        b"D\n",
        b"Dlog 0 1\nx",
        b"P 99999999999\n",
        b"P 2\n[]",
        b"x" * 70_000,
        b"\x1b[2J\n",
    ],
)
def test_what_is_no_frame_is_refused(stream: bytes) -> None:
    with pytest.raises(TransferError, match="expected a frame of the agent"):
        list(FrameParser().feed(stream))


def test_an_answer_instead_of_a_stream_is_the_agents_refusal() -> None:
    line = b'{"ok": false, "error": "unknown_run", "message": "run x: there is none"}\n'
    with pytest.raises(ConfigError, match="there is none"):
        list(FrameParser().feed(line))
