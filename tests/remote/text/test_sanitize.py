"""What a hostile or a careless log may do to the reader's terminal: nothing."""

from __future__ import annotations

import io
import resource
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moola_remote.text import sanitize
from moola_remote.text.sanitize import MAX_LINE, Screen, safe, safe_lines, write
from tests.support.plain import is_one_line, is_safe

# What logs, terminals and attackers are made of, so that sequences and splits meet often.
SPLITTABLE = """
    epoch_1 20 [b] é █ e\u0301\u0301 \ufe0f \u202e \u200d \x9b1A \x9d0;t\x9c \x1b \x1b[ ; K \x1b[2K
    \x1b[31m \x1b]0;title \x1b]52;c;aGk=\x07 \x1b\\ \x1bP \x1b(B \x18 \x07 \b \x00
"""
SPACES = [b" ", b"\n", b"\r", b"\r\n", b"\t"]
BROKEN = [b"\x9b", b"\xf0\x9f", b"\x98\x80", b"\xff", b"\xed\xa0\x80"]
PIECES = st.sampled_from([*(piece.encode() for piece in SPLITTABLE.split()), *SPACES, *BROKEN])
LOGS = st.one_of(st.binary(max_size=60), st.lists(PIECES, max_size=30).map(b"".join))


def shown(data: bytes) -> list[str]:
    screen = Screen()
    return [*screen.feed(data), *screen.close()]


@given(LOGS)
def test_no_character_that_acts_on_a_terminal_comes_out(data: bytes) -> None:
    assert all(is_safe(line) for line in shown(data))


class Witness:
    """A terminal emulator's screen that only notes what it is asked to do."""

    def __init__(self) -> None:
        self.acts: set[str] = set()

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: self.acts.add(name)


def acts_of(text: str) -> set[str]:
    witness = Witness()
    pyte.Stream(witness).feed(text)  # type: ignore[arg-type]
    return witness.acts


@given(LOGS)
def test_a_terminal_is_asked_to_draw_and_nothing_else(data: bytes) -> None:
    lines = "".join(f"{line}\r\n" for line in shown(data))
    assert acts_of(lines) <= {"draw", "tab", "carriage_return", "linefeed"}


@given(LOGS)
def test_on_a_terminal_each_line_has_its_row_in_plain_characters(data: bytes) -> None:
    lines = shown(data)
    terminal = pyte.Screen(columns=2000, lines=100)
    pyte.Stream(terminal).feed("".join(f"{line}\r\n" for line in lines))
    assert (terminal.cursor.x, terminal.cursor.y) == (0, len(lines))
    assert (terminal.title, terminal.icon_name, terminal.margins) == ("", "", None)
    plain = [terminal.default_char._replace(data="")]
    cells = [cell._replace(data="") for row in terminal.buffer.values() for cell in row.values()]
    assert cells == plain * len(cells)
    for number, line in enumerate(lines):
        row = "".join(terminal.buffer[number][column].data for column in range(len(line)))
        assert row == line or not line.isascii() or "\t" in line


@pytest.mark.parametrize(
    ("log", "act"),
    [
        ("\x1b]0;evil\x07", "set_title"),
        ("\x1b]1;evil\x1b\\", "set_icon_name"),
        ("\x1b[31m", "select_graphic_rendition"),
        ("\x9b31m", "select_graphic_rendition"),
        ("\x1b[10;10H", "cursor_position"),
        ("\x1b[2J", "erase_in_display"),
        ("\x1b[1A", "cursor_up"),
        ("\x1b[?1049h", "set_mode"),
        ("\x1b[6n", "report_device_status"),
        ("\x1bc", "reset"),
        ("\x07", "bell"),
        ("\x0b", "linefeed"),
    ],
)
def test_what_a_log_could_do_to_a_terminal_is_kept_from_it(log: str, act: str) -> None:
    assert act in acts_of(log)  # the witness is not blind
    assert acts_of("\n".join(shown(f"a{log}b".encode()))) == {"draw"}


@given(LOGS, st.lists(st.integers(0, 200), max_size=8))
def test_where_the_bytes_are_cut_makes_no_difference(data: bytes, cuts: list[int]) -> None:
    ends = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    screen = Screen()
    lines = [line for a, b in pairwise(ends) for line in screen.feed(data[a:b])]
    assert [*lines, *screen.close()] == shown(data)


@given(LOGS, st.lists(st.integers(0, 200), max_size=8), st.sampled_from([MAX_LINE, 3]))
def test_one_text_is_the_lines_each_with_its_newline(
    data: bytes, cuts: list[int], longest: int
) -> None:
    ends = [0, *sorted(cuts), len(data)]
    pieces = [data[start:stop] for start, stop in pairwise(ends)]
    one, other = Screen(), Screen()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sanitize, "MAX_LINE", longest)
        for piece in pieces:
            lines = other.feed(piece)
            assert one.text(piece) == "".join(f"{line}\n" for line in lines)
            assert one.unfinished == other.unfinished
        assert one.close() == other.close()


@pytest.mark.parametrize(
    ("before", "line"),
    [
        (b"", "wxyz"),
        (b"ab", "abwxyz"),
        (b"\xe2\x96", "\ufffdwxyz"),
        (b"abcdef\r", "wxyzef"),
        (b"a\x1b[", "axyz"),
        (b"\x1b]", ""),
        (b"x" * 9_999, "x" * 9_999 + "w …[3 more characters cut]"),
    ],
)
def test_a_plain_line_ends_what_has_begun_before_it(before: bytes, line: str) -> None:
    screen = Screen()
    assert screen.text(before) == ""
    assert screen.text(b"wxyz\n") == f"{line}\n"
    assert screen.text(b"next\n") == "next\n"


@pytest.mark.parametrize("length", [9_999, 10_000, 10_001, 30_000])
@pytest.mark.parametrize("before", ["", "a\n", "a\nb\n" * 3_000])
def test_one_text_has_each_long_line_cut(length: int, before: str) -> None:
    data = f"{before}{'x' * length}\n{'y' * length}\nz".encode()
    assert Screen().text(data) == "".join(f"{line}\n" for line in Screen().feed(data))


@given(LOGS)
def test_byte_by_byte_gives_what_one_piece_gives(data: bytes) -> None:
    screen = Screen()
    lines = [line for byte in data for line in screen.feed(bytes([byte]))]
    assert [*lines, *screen.close()] == shown(data)


@given(LOGS)
def test_every_newline_ends_one_line(data: bytes) -> None:
    screen = Screen()
    assert len(screen.feed(data)) == data.count(b"\n")


@given(st.text(st.characters(categories=["L", "N", "P", "S"], max_codepoint=0x2FF)))
def test_plain_text_comes_out_as_it_went_in(text: str) -> None:
    assert shown(text.encode() + b"\n") == [text]


@given(st.text(max_size=80))
def test_a_safe_name_is_one_line_of_plain_text(text: str) -> None:
    assert is_one_line(safe(text))


@pytest.mark.slow
def test_every_control_and_format_character_of_unicode_is_kept_from_the_screen() -> None:
    everything = "".join(map(chr, [*range(0x20000), *range(0xE0000, 0xE1000)]))  # the assigned ones
    assert is_safe(safe(everything, limit=len(everything)))
    lines = "\x18\n".join(everything).encode("utf-8", "ignore")
    assert all(is_safe(line) for line in shown(lines))


@pytest.mark.parametrize(
    ("log", "lines"),
    [
        (b"\x1b[31mred\x1b[0m", ["red"]),
        (b"a\x1b]0;new title\x07b", ["ab"]),
        (b"a\x1b]52;c;cm0gLXJm\x1b\\b", ["ab"]),
        (b"a\xc2\x9d52;c;cm0gLXJm\xc2\x9cb", ["ab"]),
        (b"a\x1bP1$r0m\x1b\\b", ["ab"]),
        (b"a\x1b_app\x1b\\\x1b^pm\x1b\\\x1bXsos\x1b\\b", ["ab"]),
        (b"a\x1b]0;never closed\nnext", ["a", "next"]),
        (b"\xc2\x9b2Ja", ["a"]),
        (b"\x1b(B\x1b)0\x1b#8\x1bca", ["a"]),
        (b"\x1b[?1049h\x1b[2J\x1b[10;10Ha", ["a"]),
        (b"\x1b\x1b[1ma\x1b", ["a"]),
        (b"abc\x9b31m", ["abc\ufffd31m"]),
        (b"[bold]not markup[/bold]", ["[bold]not markup[/bold]"]),
    ],
)
def test_escape_sequences_are_swallowed_whole(log: bytes, lines: list[str]) -> None:
    assert shown(log) == lines


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (b"  0%\r 50%\r100%\n", "100%"),
        (b"long text\rshort\n", "shorttext"),
        (b"long text\r\x1b[Kshort\n", "short"),
        (b"long text\x1b[2K\rshort\n", "short"),
        (b"long text\b\b\b\b\x1b[1K\n", "      ext"),
        (b"12\b3\n", "13"),
        (b"windows line\r\n", "windows line"),
        ("\r 10%|█         |\r 20%|██        |".encode(), " 20%|██        |"),
    ],
)
def test_a_progress_bar_stays_one_line(log: bytes, line: str) -> None:
    assert shown(log) == [line]


def test_the_unfinished_line_can_be_seen_while_it_grows() -> None:
    screen = Screen()
    assert screen.feed(b"first\n 10%\r 20%") == ["first"]
    assert screen.unfinished == " 20%"


def test_bidi_controls_are_shown_and_invalid_utf8_is_replaced() -> None:
    assert shown("user\u202etxt.exe\u2066".encode()) == [r"user\u202etxt.exe\u2066"]
    assert shown(b"a\xff\xfeb\xe2\x82") == ["a\ufffd\ufffdb\ufffd"]


def test_an_emoji_keeps_its_shape_and_marks_do_not_pile_up() -> None:
    assert shown("⚠\ufe0f ok".encode()) == ["⚠ ok"]
    assert shown(("a" + "\u0301" * 40 + "b").encode()) == ["a" + "\u0301" * 4 + "b"]


def test_a_line_beyond_the_limit_is_cut_with_a_mark() -> None:
    (line,) = shown(b"x" * (MAX_LINE + 7) + b"\n")
    assert line == "x" * MAX_LINE + " …[7 more characters cut]"
    assert shown(b"x" * (MAX_LINE + 7) + b"\r\x1b[Kshort\n") == ["short"]


@pytest.mark.process
def test_a_line_of_100_megabytes_fits_in_small_memory() -> None:
    code = """
import resource
from moola_remote.text.sanitize import Screen
screen, piece = Screen(), b"x" * 65536
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(1600):
    assert screen.feed(piece) == []
(line,) = screen.feed(b"\\n")
assert line.endswith("[104847600 more characters cut]"), line[-60:]
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    assert int(done.stdout) * unit < 8 * 2**20


def test_a_hundred_thousand_lines_a_second_is_no_trouble() -> None:
    data = (
        b"2026-11-22 20:11:01 INFO step 1234 loss 0.1234 lr 0.001 and so on to eighty\n" * 100_000
    )
    screen, start = Screen(), resource.getrusage(resource.RUSAGE_SELF).ru_utime
    num_lines = sum(len(screen.feed(data[i : i + 65536])) for i in range(0, len(data), 65536))
    assert num_lines == 100_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - start < 1.0


def test_names_show_what_they_hide() -> None:
    assert safe("plain-name_1.txt") == "plain-name_1.txt"
    assert safe("a\nb\tc\x1b[31m") == r"a\nb\tc\x1b[31m"
    assert safe("\udc80\u202e") == r"\udc80\u202e"
    assert safe("x" * 50, limit=10) == "x" * 9 + "…"


def test_lines_of_a_state_are_read_as_a_terminal_would() -> None:
    assert safe_lines("a\x1b[1mb\r\nc\ud800\n") == ["ab", "c?"]


def test_a_narrow_encoding_gets_escapes_and_no_crash() -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    write(file, "50% █\n")
    assert raw.getvalue() == b"50% \\u2588\n"
