"""Untrusted bytes become safe text: what a job writes can't move the cursor, colour or deceive.

`Screen` reads a log as a terminal would, one line at a time: carriage return, backspace and "erase
in line" act on the line, every other escape sequence is swallowed whole. `safe` is for one name.
What comes out holds no character of the classes Cc (but newline and tab), Cf, Cs, Zl and Zp.
ECMA-48 (5.4, 8.3) and https://vt100.net/emu/dec_ansi_parser have the grammar of the sequences.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection
from typing import IO

MAX_LINE = 10_000  # characters of a line that are kept; the rest is counted
# Shown as an escape: bidi controls, zero-width and other format characters, fillers, separators,
# lone surrogates, tags.
_HIDDEN = (
    "\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180e"
    "\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ud800-\udfff\uffa0\ufff9-\ufffb"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
# Left out: they only choose how the neighbour is drawn (emoji), and the byte order mark.
_SILENT = "\u180b-\u180d\u180f\u200d\ufe00-\ufe0f\ufeff"
# Marks that stack over or under a letter: four are a language, forty draw over other lines.
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u064b-\u065f\u0e31\u0e34-\u0e3a\u0e47-\u0e4e"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
)
_STACKED = re.compile(f"([{_MARKS}]{{4}})[{_MARKS}]+")
_SPECIAL = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_HIDDEN}{_SILENT}]")
_NOTABLE = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_HIDDEN}{_SILENT}{_MARKS}]")
_UNSAFE_NAME = re.compile(f"[\x00-\x1f\x7f-\x9f{_HIDDEN}{_SILENT}]")
_IS_SILENT = re.compile(f"[{_SILENT}]")
# Of ASCII, what is shown as it is, and what is not.
_PLAIN = bytes(byte for byte in range(0x80) if byte in b"\t\n" or 0x20 <= byte < 0x7F)
_CONTROLS = [byte for byte in range(0x80) if byte not in _PLAIN]
_CSI_BODY = re.compile(r"[\x20-\x3f]*")
_INTERMEDIATE = re.compile(r"[\x20-\x2f]*")
_STRING_END = re.compile("[\x07\x18\x1a\x1b\x9c]")
_STRING_STARTS = frozenset("]PX^_\x90\x98\x9d\x9e\x9f")  # OSC DCS SOS PM APC, as ESC x and as C1
_MAX_PARAMETERS = 8  # of a control sequence: "erase in line" needs one digit
_GROUND, _ESCAPE, _CONTROL, _STRING = range(4)


class Screen:
    """Turns a log's bytes, in pieces of any size, into safe lines.

    Where the pieces are cut makes no difference. Memory is bounded by `MAX_LINE` and the piece.
    One character counts as one cell, and a line never wraps.
    """

    def __init__(self) -> None:
        self._undecoded = b""  # the beginning of a character
        self._state = _GROUND
        self._parameters = ""
        self._line = ""
        self._column = 0
        self._num_cut = 0

    @property
    def unfinished(self) -> str:
        """The line that has no newline yet, as a terminal would show it now."""
        return self._shown()

    def feed(self, data: bytes) -> list[str]:
        """Take the next bytes of the log.

        Returns:
            The lines that `data` completed, without their newline.
        """
        text, is_plain = self._decoded(data)
        return self._take_plain(text) if is_plain else self._take(text)

    def text(self, data: bytes) -> str:
        """Return what `feed` does as one text, each line with its newline.

        Plain text, as most logs are, is not taken apart for that.
        """
        is_empty = not (self._line or self._column or self._num_cut or self._state)
        # A line that was just written: each further step would be done by code that is cold.
        if is_empty and not self._undecoded and _is_plain_line(data):
            return data.decode("ascii")
        text, is_plain = self._decoded(data)
        # Plain text on an empty line stands as it is; elsewhere its first line has a beginning.
        start, end = 0 if is_empty else text.find("\n") + 1, text.rfind("\n") + 1
        if not is_plain or _has_long_line(text, start, end):
            return "".join(f"{line}\n" for line in self._take(text))
        first = ""
        if not is_empty:
            self._interpret(text[: start - 1] if start else text)
            if not start:
                return ""
            first = f"{self._end_line()}\n"
        self._write(text[end:])
        return first + text[start:end]

    def _decoded(self, data: bytes) -> tuple[str, bool]:
        """Return the next bytes as text, and whether each of its characters is shown as it is."""
        text = self._decode(data)
        # Most logs are plain ASCII: 31 searches for a byte find that out 12 times as fast as a
        # regex, and twice as fast as a table look-up.
        if data.isascii():
            return text, not any(map(data.__contains__, _CONTROLS))
        return text, _NOTABLE.search(text) is None

    def _decode(self, data: bytes, *, final: bool = False) -> str:
        data = self._undecoded + data
        text, num_used = codecs.utf_8_decode(data, "replace", final)
        self._undecoded = data[num_used:]
        return text

    def close(self) -> list[str]:
        """Return the last line, if the log doesn't end with a newline; nothing is fed after it."""
        lines = self._take(self._decode(b"", final=True))
        return [*lines, self._end_line()] if self._line or self._num_cut else lines

    def _take(self, text: str) -> list[str]:
        *ended, last = text.split("\n")
        lines = []
        for piece in ended:
            self._interpret(piece)
            lines.append(self._end_line())
        self._interpret(last)
        return lines

    def _take_plain(self, text: str) -> list[str]:
        first, newline, rest = text.partition("\n")
        self._interpret(first)
        if not newline:
            return []
        lines = [self._end_line()]
        *whole, last = rest.split("\n")
        if max(map(len, whole), default=0) <= MAX_LINE:
            lines += whole
            self._write(last)
            return lines
        return lines + self._take(rest)

    def _interpret(self, text: str) -> None:
        position = 0
        while position < len(text):
            if self._state == _GROUND:
                position = self._ground(text, position)
            elif self._state == _ESCAPE:
                position = self._escape(text, position)
            elif self._state == _CONTROL:
                position = self._control(text, position)
            else:
                position = self._string(text, position)

    def _ground(self, text: str, position: int) -> int:
        found = _SPECIAL.search(text, position)
        end = found.start() if found else len(text)
        if end > position:
            self._write(text[position:end])
        if found:
            self._act(text[end])
        return end + 1

    def _act(self, char: str) -> None:
        if char == "\r":
            self._column = 0
        elif char == "\b":
            self._column = max(self._column - 1, 0)
        elif char == "\x1b":
            self._state = _ESCAPE
        elif char == "\x9b":
            self._state, self._parameters = _CONTROL, ""
        elif char in _STRING_STARTS:
            self._state = _STRING
        elif char >= "\xa0" and not _IS_SILENT.match(char):
            self._write(_escaped(char))

    def _escape(self, text: str, position: int) -> int:
        position = _INTERMEDIATE.match(text, position).end()  # type: ignore[union-attr]
        if position == len(text):
            return position
        char = text[position]
        self._state = _GROUND
        if char == "[":
            self._state, self._parameters = _CONTROL, ""
        elif char in _STRING_STARTS:
            self._state = _STRING
        elif not "\x30" <= char <= "\x7e":
            return position  # not a sequence after all: this character is handled as text
        return position + 1

    def _control(self, text: str, position: int) -> int:
        end = _CSI_BODY.match(text, position).end()  # type: ignore[union-attr]
        self._parameters = (self._parameters + text[position:end])[:_MAX_PARAMETERS]
        if end == len(text):
            return end
        self._state = _GROUND
        if not "\x40" <= text[end] <= "\x7e":
            return end
        if text[end] == "K":
            self._erase(self._parameters)
        return end + 1

    def _string(self, text: str, position: int) -> int:
        found = _STRING_END.search(text, position)
        if not found:
            return len(text)
        self._state = _ESCAPE if found.group() == "\x1b" else _GROUND
        return found.end()

    def _write(self, text: str) -> None:
        room = MAX_LINE - self._column
        self._num_cut += max(len(text) - room, 0)
        text = text[:room]
        if not text:
            return
        end = self._column + len(text)
        if self._column == len(self._line):
            self._line += text
        else:
            self._line = self._line[: self._column].ljust(self._column) + text + self._line[end:]
        self._column = end

    def _erase(self, parameters: str) -> None:
        if parameters in ("", "0"):
            self._line = self._line[: self._column]
        elif parameters == "1":
            blanks = min(self._column + 1, len(self._line))
            self._line = " " * blanks + self._line[blanks:]
        elif parameters == "2":
            self._line = ""
        if parameters == "2" or (parameters != "1" and self._column < MAX_LINE):
            self._num_cut = 0

    def _end_line(self) -> str:
        line = self._shown()
        # A newline ends an unterminated string: the rest of the log matters more than its form.
        self._state, self._line, self._column, self._num_cut = _GROUND, "", 0, 0
        return line

    def _shown(self) -> str:
        line = self._line if self._line.isascii() else _STACKED.sub(r"\1", self._line)
        return f"{line} …[{self._num_cut} more characters cut]" if self._num_cut else line


def _is_plain_line(data: bytes) -> bool:
    """Return whether it is whole lines that are shown as they are, none of them cut."""
    return len(data) <= MAX_LINE and data.endswith(b"\n") and not data.translate(None, _PLAIN)


def _has_long_line(text: str, start: int, end: int) -> bool:
    """Return whether a line of text[start:end], which ends with a newline, is to be cut."""
    while start < end:
        newline = text.rfind("\n", start, start + MAX_LINE + 1)
        if newline < 0:
            return True
        start = newline + 1
    return False


def safe_lines(text: str) -> list[str]:
    """Lines of untrusted text as a terminal would show them, such as a state's ``last_lines``."""
    screen = Screen()
    return [*screen.feed(text.encode("utf-8", "replace")), *screen.close()]


def safe(text: str, limit: int = MAX_LINE) -> str:
    """One untrusted name or message, on one line: what isn't plain text is shown as an escape.

    Args:
        text: any string; lone surrogates (from file names or JSON) are fine.
        limit: characters that are kept; a longer text ends with ``…``.
    """
    if len(text) > limit:
        text = text[: max(limit - 1, 0)] + "…"
    if text.isascii() and text.isprintable():
        return text
    return _STACKED.sub(r"\1", _UNSAFE_NAME.sub(lambda found: _escaped(found.group()), text))


def are_plain(texts: Collection[str], limit: int) -> bool:
    """Return whether all of `texts` are printable ASCII within `limit`: `safe` leaves them."""
    joined = "".join(texts)
    return joined.isascii() and joined.isprintable() and max(map(len, texts), default=0) <= limit


def write(file: IO[str], text: str) -> None:
    """Write safe `text` and flush; a character that the file's encoding lacks becomes an escape."""
    encoding = getattr(file, "encoding", None) or "utf-8"
    if encoding != "utf-8" and encoding.lower() not in ("utf-8", "utf8"):
        text = text.encode(encoding, "backslashreplace").decode(encoding)
    file.write(text)
    file.flush()


def _escaped(char: str) -> str:
    if _IS_SILENT.match(char):
        return ""
    return repr(char)[1:-1] if char.isascii() else char.encode("ascii", "backslashreplace").decode()
