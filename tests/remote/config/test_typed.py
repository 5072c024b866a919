"""What is read from outside: where it is wrong, what was expected, and what is there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import pytest
from msgspec import Meta, Struct

from moola_remote.config.typed import WrongValueError, decoded, json_of, keyed_by, read_by, typed

# Eight threads read models that none has read before, all at the same time.
TOGETHER = """
import sys, threading
from msgspec import defstruct
from moola_remote.config.typed import typed
sys.setswitchinterval(1e-6)
inner = [defstruct(f"Inner{n}", [(f"x{k}", int | None, 1) for k in range(20)]) for n in range(50)]
models = [defstruct(f"Model{n}", [("a", one), ("b", list[one])])
          for n, one in enumerate(inner)]
barrier = threading.Barrier(8)
read = []
def work():
    for model in models:
        barrier.wait()
        read.append(typed(model, {"a": {"x3": "4"}, "b": [{}]}).a.x3)
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(read == [4] * 400)
"""


def _loud(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a word")  # noqa: TRY004 - msgspec tells where of no other
    return value.upper()


if TYPE_CHECKING:
    Loud: TypeAlias = str
    Table: TypeAlias = dict[str, int]
else:
    Loud = read_by(_loud, str)
    Table = keyed_by(_loud, int, 3)


class Part(Struct, frozen=True, forbid_unknown_fields=True):
    kind: Literal["a", "b"] = "a"
    sizes: list[int] = []


class Whole(Struct, frozen=True):
    name: Loud
    part: Part = Part()
    share: Annotated[float, Meta(ge=0, le=1)] | None = None
    count: Annotated[int, Meta(gt=0)] = 1
    digest: Annotated[str, Meta(pattern=r"^[0-9a-f]+\Z", max_length=4)] = "0"
    words: Annotated[list[Loud], Meta(max_length=2)] = []
    table: Table = {}
    folder: Path = Path()
    flag: bool = False


def wrong(key: str, value: Any) -> str:
    table = {"name": "x", key: value}
    with pytest.raises(WrongValueError) as caught:
        typed(Whole, table)
    with pytest.raises(WrongValueError) as again:
        decoded(Whole, json.dumps(table).encode())
    assert str(again.value) == str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("name", 3, "name: expected a word, got 3"),
        ("part", 3, "part: expected keys and values, got 3"),
        ("part", {"kind": "c"}, "part.kind: expected 'a' or 'b', got 'c'"),
        ("part", {"kind": 3}, "part.kind: expected 'a' or 'b', got 3"),
        ("part", {"knd": "a"}, "part.knd: unknown key, expected one of kind, sizes"),
        ("part", {"sizes": [1, "x"]}, "part.sizes.1: expected a whole number, got 'x'"),
        ("share", 1.5, "share: expected at most 1, got 1.5"),
        ("share", "nan", "share: expected at least 0, got 'nan'"),
        ("share", [], "share: expected a number or nothing, got []"),
        ("share", 10**400, "share: number out of range, got 1000"),
        ("count", 0, "count: expected at least 1, got 0"),
        ("count", True, "count: expected a whole number, got True"),
        ("count", 2.5, "count: expected a whole number, got 2.5"),
        ("digest", "x", "digest: expected text that matches '^[0-9a-f]+$', got 'x'"),
        ("digest", "0\n", r"digest: expected text that matches '^[0-9a-f]+$', got '0\n'"),
        ("digest", "00000", "digest: expected at most 4 characters, got '00000'"),
        ("words", ["a", "b", "c"], "words: expected at most 2 entries, got ['a', 'b', 'c']"),
        ("words", ["a", None], "words.1: expected a word, got None"),
        ("table", {"a": 1, "b": "x"}, "table.b: expected a whole number, got 'x'"),
        ("table", {"a.b[0]": "x"}, "table.a.b[0]: expected a whole number, got 'x'"),
        ("table", {" - at `$.x`": "x"}, "table. - at `$.x`: expected a whole number, got 'x'"),
        ("table", dict.fromkeys("abcd", 1), "table: expected at most 3 entries, got {"),
        ("table", [], "table: expected keys and values, got []"),
        ("folder", 3, "folder: expected a path, got 3"),
        ("flag", "yes", "flag: expected true or false, got 'yes'"),
        ("\x1b", 3, ""),
    ],
)
def test_a_wrong_value_is_one_line(key: str, value: Any, said: str) -> None:
    if not said:
        assert typed(Whole, {"name": "x", key: value}).name == "X"  # of no field: passed over
        return
    assert wrong(key, value).startswith(said)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(WrongValueError, match=r"^name: missing$"):
        typed(Whole, {})
    with pytest.raises(WrongValueError, match=r"^expected keys and values, got \[\]$"):
        typed(Whole, [])


def test_numbers_and_flags_in_quotes_are_taken_for_what_they_say() -> None:
    read = typed(Whole, {"name": "x", "share": "1e-3", "count": "3", "flag": "true"})
    assert (read.share, read.count, read.flag) == (0.001, 3, True)


def test_values_that_a_type_makes_are_plain_in_json_and_in_memory() -> None:
    table = {"name": "a", "words": ["b"], "table": {"c": 1}, "folder": "d/e"}
    for read in (typed(Whole, table), decoded(Whole, json.dumps(table).encode())):
        assert (read.name, read.words, read.table) == ("A", ["B"], {"C": 1})
        assert {type(read.name), type(read.words[0]), *map(type, read.table)} == {str}
        assert json.loads(json_of(read))["folder"] == "d/e"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"\xff",
        b'{"name": "\xff"}',
        b'{"name": "\\ud800"}',
        b'{"name": NaN}',
        b"[" * 100_000,
        b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"name": 3, "x": [}',
        b'{"name": "x", "count": ' + b"9" * 5000 + b"}",
        b'{"name": "x", "share": 1e999}',
        b'{"name": "x"} {}',
    ],
)
def test_no_bytes_are_more_than_a_wrong_value(content: bytes) -> None:
    with pytest.raises(WrongValueError) as caught:
        decoded(Whole, content)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_an_error_is_short_and_safe_whatever_is_there() -> None:
    said = wrong("share", {"\x1b[2J" * 1000: [["x" * 1000]] * 1000})
    assert said.startswith("share: expected a number or nothing, got {")
    assert len(said) < 500
    assert said.isprintable()


@pytest.mark.process
def test_threads_that_read_a_new_model_at_once_each_get_theirs() -> None:
    argv = [sys.executable, "-c", TOGETHER]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr[-500:]
