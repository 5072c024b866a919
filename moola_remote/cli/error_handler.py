"""How a command ends: every error is one line on stderr and an exit code of errors.py.

What only an error needs is imported when there is one.
"""

from __future__ import annotations

import errno
import gc
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from moola_remote import __version__
from moola_remote.errors import INTERRUPTED, MoolaError, missing_package

GC_THRESHOLD = 20_000  # Python's own: 700


def run(args: Sequence[str] | None) -> int:
    """Run a command line; returns its exit code."""
    try:
        from moola_remote.cli.main import program

        # What a command imports is no garbage either: far fewer looks for some, a twentieth of it.
        gc.set_threshold(GC_THRESHOLD)
        gc.enable()
        code = program.main(args, prog_name="moola-remote", standalone_mode=False)
    except MoolaError as err:
        print_error(str(err))
        return err.exit_code
    except click.UsageError as err:
        # click gives each choice of a missing argument a line of its own
        said = " ".join(err.format_message().split()).rstrip(".")
        print_error(f"{said}; see {_path(err)} --help")
        return err.exit_code
    except click.ClickException as err:
        print_error(err.format_message())
        return err.exit_code
    except OSError as err:
        known = _of_disk(err)
        print_error(str(known) if known else _bug(err))
        return known.exit_code if known else 1
    except (click.Abort, KeyboardInterrupt):
        print_error("interrupted")
        return INTERRUPTED
    except ModuleNotFoundError as err:
        missing = missing_package(err)
        print_error(str(missing) if missing else _bug(err))
        return missing.exit_code if missing else 1
    except Exception as err:  # noqa: BLE001 - the outermost handler
        print_error(_bug(err))
        return 1
    return code if isinstance(code, int) else 0


def print_error(message: str) -> None:
    """Print one error on stderr."""
    from moola_remote.text.redact import strike

    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(strike(message), err=True)


def _of_disk(err: OSError) -> MoolaError | None:
    """Return the error of a full or read-only disk, or None where `err` is another one."""
    from moola_remote.config.paths import LaptopPaths
    from moola_remote.files.disk import (
        full_disk,
        is_full,
        no_temporary,
        unwritable,
        usual_places,
    )

    if err.errno == errno.EROFS and isinstance(err.filename, str):
        return unwritable(Path(err.filename), err)
    if not is_full(err):
        return no_temporary(err)
    return full_disk(err, [LaptopPaths.of_user().state, Path("results"), *usual_places()])


def _path(err: click.UsageError) -> str:
    return err.ctx.command_path if err.ctx else "moola-remote"


def _bug(err: Exception) -> str:
    """Keep the traceback where it can be sent from; returns the line that says so."""
    import traceback

    from moola_remote.config.paths import LaptopPaths
    from moola_remote.text.redact import redact

    # It is there to be sent: no argv, since a command's words are the user's, no local variables.
    text = f"moola-remote {__version__}, Python {sys.version.split()[0]}, {sys.platform}\n"
    text = redact(text + "".join(traceback.format_exception(err)))
    said = redact(f"internal error, {type(err).__name__}: {' '.join(str(err).split())}")
    path = LaptopPaths.of_user().bug
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as unwritable:
        click.echo(text, err=True)
        return f"{said}; its traceback stands above, {path} can't be written: {unwritable.strerror}"
    return f"{said}; please report it with {path}, which holds the traceback and no secrets"
