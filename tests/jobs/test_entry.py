"""How a job ends."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pydantic
import pytest
import torch

from jobs.common.entry import exit_code_of
from moola_core.data.bar_tables import readable
from moola_core.errors import JobError


class _Recipe(pydantic.BaseModel):
    folder: str = ""

    @pydantic.field_serializer("folder")
    def _stop(self, folder: str) -> str:  # noqa: ARG002
        raise SystemExit(143)  # as the handler of SIGTERM does, wherever the job is


def _dump() -> None:
    _Recipe().model_dump()


def _load() -> None:
    try:
        _dump()
    except Exception as err:
        raise JobError("recipe: can't be written") from err


@pytest.mark.parametrize("work", [_dump, _load])
def test_a_stop_within_a_compiled_library_is_still_a_stop(
    work: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(work)
    assert exit_code_of(work) == 143
    assert capsys.readouterr().err == ""


def test_an_error_of_the_job_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise JobError("recipe: no such file")

    code = exit_code_of(fail)
    assert code == JobError("").exit_code
    assert capsys.readouterr().err == "error: recipe: no such file\n"


def test_an_interrupt_and_a_lack_of_memory_are_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(err: BaseException) -> int:
        raise err

    assert exit_code_of(lambda: fail(KeyboardInterrupt())) == 130
    assert capsys.readouterr().err == "error: interrupted\n"
    assert exit_code_of(lambda: fail(MemoryError("Unable to allocate 8 PiB"))) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: out of memory, Unable to allocate 8 PiB; free some, or give")
    assert said.count("\n") == 1


def _of_torch() -> None:
    torch.empty(2**55, dtype=torch.uint8)


def _of_a_model() -> None:
    try:
        _of_torch()
    except RuntimeError as err:
        raise JobError("not a model that this version can use") from err


def _of_arrow() -> None:
    with readable(Path("bars.parquet")):
        pa.allocate_buffer(2**60)


def _of_a_thread() -> None:
    with readable(Path("bars.parquet")):
        raise pa.ArrowException("Unknown error: Failed to launch worker thread: Resource")


def _of_a_library() -> None:
    try:
        raise OSError("libllvmlite.so: failed to map segment from shared object")  # noqa: TRY301
    except OSError:
        raise OSError("Could not find/load shared object file") from None


def _of_a_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.mark.parametrize(
    ("work", "says"),
    [
        (_of_torch, "can't allocate memory: you tried to allocate 36028797018963968 bytes"),
        (_of_a_model, "can't allocate memory: you tried to allocate 36028797018963968 bytes"),
        (_of_arrow, "malloc of size 1152921504606846976 failed"),
        (_of_a_thread, "Unknown error: Failed to launch worker thread: Resource"),
        (_of_a_library, "libllvmlite.so: failed to map segment from shared object"),
        (_of_a_gpu, "CUDA out of memory. Tried to allocate 2.00 GiB"),
    ],
)
def test_a_lack_of_memory_is_one_line_whoever_says_it(
    work: Callable[[], None], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of(work) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: out of memory, {says}")
    assert said.endswith("; free some, or give fewer bars or windows at once\n")
    assert said.count("\n") == 1


def test_a_full_disk_is_no_lack_of_memory() -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="No space left"):
        exit_code_of(lambda: _raise(full))


def _raise(err: Exception) -> None:
    raise err


def test_any_other_error_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        exit_code_of(lambda: 1 // 0)
