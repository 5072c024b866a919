"""Messages on stderr, and questions to the user."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator

import click


@contextlib.contextmanager
def signals_as_interrupts() -> Iterator[None]:
    """Treat SIGTERM and SIGHUP as Ctrl-C, so that a closed terminal leaves no unguarded pod."""
    both = (signal.SIGTERM, signal.SIGHUP)
    numbers = [number for number in both if signal.getsignal(number) == signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def say(line: str) -> None:
    """Print a line on stderr."""
    with contextlib.suppress(OSError):  # the terminal may have been closed
        click.echo(line, err=True)


def confirm(question: str) -> bool:
    """Ask a yes/no question; answer no where there is no terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    try:
        return click.confirm(question, err=True)
    except (click.Abort, OSError):  # Ctrl-C again, or the terminal is gone
        return False


def ask_on_terminal() -> Callable[[str], bool] | None:
    """Return the question about an unknown host key, or None where there is no terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    def ask(fingerprint: str) -> bool:
        return click.confirm(
            f"The pod shows the host key {fingerprint}. Is it the right one?", err=True
        )

    return ask


def ask_passphrase_on_terminal() -> Callable[[str], str | None] | None:
    """Return the question for the passphrase of a key, or None where there is no terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    def ask(path: str) -> str | None:
        try:
            typed: str = click.prompt(
                f"Passphrase of {path}", hide_input=True, default="", show_default=False, err=True
            )
        except (click.Abort, OSError):
            return None
        return typed or None

    return ask
