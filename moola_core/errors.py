"""Errors of the job: one class a cause, each with its exit code.

JobError
 ├── ConfigError           10  a recipe, a setting or an argument is wrong
 ├── DataError             10  a data file is missing, or what is in it can't be
 ├── OutputError           10  what was asked for can't be written where it was asked for
 ├── CheckpointError       10  a checkpoint is missing, torn, or of another run
 ├── NonFiniteLossError    20  a loss became NaN or infinite
 └── ProcessesError        20  one of the processes that shared a training was ended

0 is done, 1 an internal error, 2 wrong usage (argparse's), 143 ended by SIGTERM after a checkpoint.
A message is one line: ``where: what is wrong, expected X, got Y; cure``.
"""

from __future__ import annotations


class JobError(Exception):
    """The base of every error that a job's user can meet; its text is one line.

    It may quote an untrusted file: what a terminal would act on is shown as an escape.
    """

    exit_code = 1

    def __str__(self) -> str:
        text = super().__str__()
        return "".join(
            char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
        )


class ConfigError(JobError):
    """A recipe, a setting or an argument is wrong."""

    exit_code = 10


class DataError(JobError):
    """A data file is missing, or what is in it can't be."""

    exit_code = 10


class OutputError(JobError, OSError):
    """A file can't be written: no room, no right to, a folder of its name."""

    exit_code = 10


class CheckpointError(JobError):
    """A checkpoint is missing, torn, or of another run."""

    exit_code = 10


class NonFiniteLossError(JobError):
    """A loss became NaN or infinite; training on would only spread it."""

    exit_code = 20


class ProcessesError(JobError):
    """One of the processes that shared a training was ended."""

    exit_code = 20
