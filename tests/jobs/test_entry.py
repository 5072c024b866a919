"""How a job ends."""

from __future__ import annotations

import pydantic
import pytest

from jobs.common.entry import exit_code_of
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


def test_any_other_error_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        exit_code_of(lambda: 1 // 0)
