"""A pseudo-terminal as an SSH client asks for it: RFC 4254, sections 6.2 and 8."""

from __future__ import annotations

import fcntl
import struct
import termios
from collections.abc import Mapping
from dataclasses import dataclass

Size = tuple[int, int, int, int]


def _numbered(first: int, names: str) -> dict[str, int]:
    return {name: number for number, name in enumerate(names.split(), first)}


# RFC 4254's number of each mode, by the name that termios has for it; what it lacks is passed over.
_CHARACTERS = _numbered(
    1,
    "VINTR VQUIT VERASE VKILL VEOF VEOL VEOL2 VSTART VSTOP VSUSP VDSUSP VREPRINT VWERASE VLNEXT "
    "VFLUSH VSWTCH VSTATUS VDISCARD",
)
_INPUT = _numbered(
    30, "IGNPAR PARMRK INPCK ISTRIP INLCR IGNCR ICRNL IUCLC IXON IXANY IXOFF IMAXBEL IUTF8"
)
_LOCAL = _numbered(
    50,
    "ISIG ICANON XCASE ECHO ECHOE ECHOK ECHONL NOFLSH TOSTOP IEXTEN ECHOCTL ECHOKE PENDIN",
)
_OUTPUT = _numbered(70, "OPOST OLCUC ONLCR OCRNL ONOCR ONLRET")
# By their place in what tcgetattr returns.
_FLAGS = ((0, _INPUT), (1, _OUTPUT), (3, _LOCAL))
_DISABLED = 255


@dataclass(frozen=True)
class Terminal:
    """What the client asked for; `size` is columns, rows and the same in pixels."""

    kind: str
    size: Size
    modes: Mapping[int, int]

    def prepare(self, fd: int) -> None:
        """Give the terminal of `fd` this size and these modes."""
        set_size(fd, self.size)
        attributes = termios.tcgetattr(fd)
        for place, numbers in _FLAGS:
            for name, number in numbers.items():
                bit = getattr(termios, name, 0)
                if number in self.modes:
                    attributes[place] = (
                        attributes[place] | bit if self.modes[number] else attributes[place] & ~bit
                    )
        for name, number in _CHARACTERS.items():
            if hasattr(termios, name) and self.modes.get(number, _DISABLED) < _DISABLED:
                attributes[6][getattr(termios, name)] = bytes([self.modes[number]])
        termios.tcsetattr(fd, termios.TCSANOW, attributes)


def set_size(fd: int, size: Size) -> None:
    """Set the window size; the kernel signals the programs in it."""
    columns, rows, width, height = (min(number, 0xFFFF) for number in size)
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, width, height))


def make_controlling() -> None:
    """In a new session whose stdin is a terminal: make it the controlling one, so that ^C works."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
