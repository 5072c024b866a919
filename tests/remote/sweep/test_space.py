"""Spaces as they are typed."""

from __future__ import annotations

import pytest

from moola_remote.errors import ConfigError
from moola_remote.sweep.space import read_seeds, read_space, table_of, text_of


@pytest.mark.parametrize(
    ("text", "kind", "examples"),
    [
        ("lr=log:1e-4..1e-1", "float", [1e-4, 1e-1]),
        ("model.hidden_size=16,32,96", "choice", [16, 32, 96]),
        ("layers=1..4", "int", [1, 4]),
        ("model.dropout=0..0.5", "float", [0.0, 0.5]),
        ("name=adam,sgd", "choice", ["adam", "sgd"]),
        ("crf=true,false,null", "choice", [True, False, None]),
        ("x=-1.5..2", "float", [-1.5, 2.0]),
    ],
)
def test_a_space_is_read_and_written(text: str, kind: str, examples: list[object]) -> None:
    space = read_space(text)
    assert space.kind == kind
    assert space.examples()[: len(examples)] == examples
    assert read_space(str(space)) == space


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lr", "expected KEY=a..b"),
        ("lr=1", "a single value is not a range"),
        ("lr=2..1", "expected the lower end first"),
        ("lr=log:0..1", "ends above 0 for log"),
        ("lr=a..b", "not numbers"),
        ("lr=log:1", "not numbers"),
        ("h=16,16", "repeated"),
        ("lr=1..1e999", "lower end first"),
    ],
)
def test_what_is_no_space_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_space(text)


def test_a_float_space_over_a_whole_number_shows_in_an_example() -> None:
    assert any(value != int(value) for value in read_space("h=1.0..4").examples())  # type: ignore[arg-type]


def test_values_are_written_as_a_command_line_has_them() -> None:
    values = [True, False, None, 1, 0.5, 1e-5, "adam"]
    assert [text_of(value) for value in values] == [
        *("true", "false", "null", "1", "0.5", "1e-05", "adam")
    ]


def test_every_combination_of_a_grid_once() -> None:
    rows = table_of([read_space("a=1,2"), read_space("b=x,y,z")])
    assert [tuple(row.values()) for row in rows] == [
        *((1, "x"), (1, "y"), (1, "z"), (2, "x"), (2, "y"), (2, "z"))
    ]
    with pytest.raises(ConfigError, match="infinitely many values"):
        table_of([read_space("a=1..2")])


def test_seeds() -> None:
    assert read_seeds("0..3") == [0, 1, 2, 3]
    assert read_seeds("1,5,5,7") == [1, 5, 7]
    for text in ("5", "a..b", "0..100000000", ""):
        with pytest.raises(ConfigError, match=rf"^--seeds {text}: expected 0\.\.9 or 1,5,7$"):
            read_seeds(text)
    with pytest.raises(ConfigError, match=r"^--seeds 3\.\.3: expected two seeds at least$"):
        read_seeds("3..3")
