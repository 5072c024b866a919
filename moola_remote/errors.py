"""Errors of moola-remote: one class a cause, each with its exit code.

MoolaError
 ├── ConfigError             10  a pod, recipe, setting or data file is missing or wrong
 ├── UnreachableError        11  the pod can't be reached or refuses us
 ├── HostKeyError            12  the pod's host key is unknown or has changed
 ├── NoCapacityError         13  nothing to rent under the given conditions
 ├── LimitError              14  a limit of time, money or size was reached
 ├── TransferError           15  a transfer or its verification failed
 ├── JobFailedError          20  the job ended with an error
 ├── JobCancelledError       21  the job was cancelled or preempted
 └── RunLostError            22  the run's end can't be known

0 is done, 1 an internal error or a fault that doctor found, 2 wrong usage (click's),
130 interrupted, 141 stdout was closed.
A message is one line: ``where: what is wrong, expected X, got Y``; `cure` is how to fix it.
"""

from __future__ import annotations

# What a base install leaves out, and the extra of ours that has it.
EXTRAS = {
    "asyncssh": ("the local pod", "local"),
    "httpx": ("renting", "runpod"),
    "jinja2": ("a page", "report"),
    "optuna": ("a sweep", "sweep"),
    "pyarrow": ("a table", "parquet"),
    "tenacity": ("renting", "runpod"),
}
USAGE = 2
INTERRUPTED = 130
BROKEN_PIPE = 141  # as a shell reports the end by SIGPIPE


class MoolaError(Exception):
    """The base of every error that a user can meet.

    Args:
        message: ``where: what is wrong, expected X, got Y``; one line, lower case, no full stop.
        cure: what to do about it, one line, or empty where nothing can be done.
    """

    exit_code = 1
    # The run that was watched when it happened, where one was.
    run_id: str | None = None
    # Whether it is one pod's own: another may still do the work.
    is_of_pod = False

    def __init__(self, message: str, cure: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure

    def __str__(self) -> str:
        return f"{self.message}; {self.cure}" if self.cure else self.message


def behind_pod(name: str, text: str) -> str:
    """Return what an error says, for a line that has named its pod already."""
    return text.removeprefix(f"pod {name}: ")


class ConfigError(MoolaError):
    """A pod, recipe, setting or data file is missing or wrong."""

    exit_code = 10


class MissingPackageError(ConfigError):
    """A package that a base install leaves out is not here; the cure names the extra with it."""


def missing_package(err: ModuleNotFoundError) -> MissingPackageError | None:
    """Return the error for a package of ours that is not installed; None where it is another's."""
    name = (err.name or "").partition(".")[0]
    if name not in EXTRAS:
        return None
    what, extra = EXTRAS[name]
    return MissingPackageError(f"{what} needs {name}", install_extra(extra))


def install_extra(extra: str) -> str:
    """Return the command that adds an extra's packages to the environment that runs this.

    It names the packages, not the extra: pip would look for ``moola`` in its index, where the name
    is another project's.
    """
    import shlex
    import sys
    from importlib import metadata, util
    from pathlib import Path

    wanted = f'extra == "{extra}"'
    try:
        lines = metadata.requires("moola") or []
    except metadata.PackageNotFoundError:  # run from its source
        lines = []
    packages = [line.partition(";")[0].strip() for line in lines if wanted in line]
    packages = packages or [name for name, (_, its) in EXTRAS.items() if its == extra]
    named = shlex.join(packages)
    if Path(sys.prefix, "pipx_metadata.json").exists():
        return f"pipx inject moola {named}"
    if util.find_spec("pip") is None:  # an environment of uv
        return f"uv pip install --python {sys.executable} {named}"
    return f"{sys.executable} -m pip install {named}"


class UnknownRunError(ConfigError):
    """The pod has no such run; `name` is what it was asked for, empty where that is not known."""

    name = ""


class NoCheckpointError(ConfigError):
    """A run has left no checkpoint to resume from; it can only be started from scratch."""


class UnreachableError(MoolaError):
    """The pod can't be reached, or lacks what we need to talk to it; says nothing of the job."""

    exit_code = 11


class PodGoneError(UnreachableError):
    """The pod is stopped, or removed for good: to try again does not help."""

    def __init__(self, message: str, cure: str, *, is_removed: bool) -> None:
        super().__init__(message, cure)
        self.is_removed = is_removed


class NoPythonError(UnreachableError):
    """The pod has no Python that is new enough: to try again does not help."""


class HostKeyError(MoolaError):
    """The pod's host key is unknown or has changed."""

    exit_code = 12
    is_of_pod = True


class NoCapacityError(MoolaError):
    """Nothing to rent under the given conditions."""

    exit_code = 13


class LimitError(MoolaError):
    """A limit of time, money or size was reached."""

    exit_code = 14


class TransferError(MoolaError):
    """A transfer or its verification failed; nothing was promoted."""

    exit_code = 15


class PartialTransferError(TransferError):
    """Some of the files could not be sent, the others were."""


class JobFailedError(MoolaError):
    """The job ended with an error."""

    exit_code = 20


class JobCancelledError(MoolaError):
    """The job was cancelled or preempted."""

    exit_code = 21


class PreemptedError(JobCancelledError):
    """The pod was taken away while the job ran; the run can be resumed on another."""


class RunLostError(MoolaError):
    """The run's end can't be known: it and its supervisor are gone without a word."""

    exit_code = 22
