"""Models that are read without pydantic: what the look takes is what pydantic makes of it."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from moola_remote.config.light_model import LightModel
from moola_remote.config.marks import After, Before, Doubt, Limits, Only
from moola_remote.config.settings import OnFinish, PodConfig, Project, RunpodConfig
from moola_remote.protocol.answers import Environment, PodInfo
from moola_remote.protocol.spec import Spec
from moola_remote.protocol.state import RunState


def _short(text: str) -> str:
    if len(text) > 3:
        raise ValueError("expected three letters")
    return text.upper()


class Inner(LightModel):
    size: Annotated[int, Limits(ge=0, lt=10)] = 3


class Every(LightModel):
    """Each kind of type and mark."""

    extra: ClassVar[Literal["ignore", "forbid"]] = "forbid"

    whole: int
    real: Annotated[float, Limits(gt=0, le=1.5)] | None = None
    is_set: bool = False
    text: Annotated[str, Limits(pattern=r"^[a-z]+\d$", max_length=5)] = "a1"
    path: Path = Path("here")
    word: Literal["one", "two"] = "one"
    short: Annotated[str, After(_short)] = ""
    ending: Annotated[list[int], Limits(min_length=1), Before(lambda found: found)] = field(
        default_factory=lambda: [1]
    )
    table: dict[str, float | None] = field(default_factory=dict)
    either: int | str = 0
    odd: Annotated[str, Only(str)] = ""
    inner: Inner = Inner()


PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-2, 12)
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(
        ["one", "a1", "a1\n", "\ud800", "5", "1.0", "yes", "٣", "a٣", Path("x"), b"x"]
    )
    | st.sampled_from(["SUCCEEDED", "ssh", "SECURE", "/x", "12.8", "0" * 16, "image"])
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["size", "a", "gpus", "name", "version"]), inner, max_size=3
        )
    ),
    max_leaves=4,
)
MODELS: list[type[LightModel]] = [
    *(Every, Project, PodConfig, RunpodConfig, OnFinish, RunState, PodInfo, Environment, Spec)
]


def same(one: Any, other: Any) -> bool:
    """Compare values and their types; NaN is NaN."""
    if isinstance(one, LightModel):
        return type(one) is type(other) and same(dict(one), dict(other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    both_nan = isinstance(one, float) and math.isnan(one)
    return type(one) is type(other) and (one == other or both_nan)


@pytest.mark.fuzz
@given(st.data(), st.sampled_from(MODELS))
def test_a_look_takes_what_pydantic_takes_and_as_it_does(
    data: st.DataObject, model: type[LightModel]
) -> None:
    keys = st.sampled_from([*model.model_fields, "strange"])
    table = data.draw(st.dictionaries(keys, VALUES, max_size=4))
    required = {"whole": 1, "folder": Path("p"), "name": "n", "provider": "ssh", "python": "3"}
    required |= {"run_id": "r", "state": "LOST", "argv": ["x"]}
    required |= {"gpus": ["A"], "max_price": 1.0, "image": "i", "cuda": "1.2"}
    known = {key: value for key, value in required.items() if key in model.model_fields}
    if model is PodInfo or data.draw(st.booleans()):
        table = {**{key: one for key, one in known.items() if model is not PodInfo}, **table}
    check(model, table)


@pytest.mark.parametrize(
    "values",
    [
        {"whole": True},
        {"whole": "5"},
        {"whole": 5.0},
        {"real": 1},
        {"real": math.nan},
        {"real": 2**60},
        {"text": "a1\n"},
        {"text": "a٣"},
        {"text": "a1\ud800"},
        {"path": "\ud800"},
        {"path": ""},
        {"word": "three"},
        {"short": "long"},
        {"short": "abc"},
        {"ending": []},
        {"ending": (1, 2)},
        {"table": {"a": 1, "b": None}},
        {"table": {1: 1}},
        {"either": "7"},
        {"odd": "\ud800"},
        {"inner": {"size": 10}},
        {"inner": {"size": "4", "more": 1}},
        {"inner": Inner(size=7)},
        {"more": 1},
    ],
)
def test_at_the_limits_of_a_look_pydantic_would_come_to_the_same(values: dict[str, Any]) -> None:
    check(Every, {"whole": 1, **values})


def check(model: type[LightModel], table: dict[str, Any]) -> None:
    """Hold the model that is read to what pydantic alone says of the table."""
    expected, fault = {}, None
    try:
        expected = model._asked(model._pydantic().model_validate(table))
    except ValidationError as err:
        fault = err
    if fault is not None:
        with pytest.raises((Doubt, ValueError)):
            model._seen(table)
        with pytest.raises(ValidationError) as caught:
            model.model_validate(table)
        wrong = caught.value.errors(include_context=False)
        assert repr(wrong) == repr(fault.errors(include_context=False))  # a NaN is not itself
        return
    found = model.model_validate(table)
    assert same(dict(found), {key: expected[key] for key in model.model_fields})
    assert found.model_fields_set == expected["model_fields_set"]


@pytest.mark.process
def test_what_is_plainly_right_needs_no_pydantic() -> None:
    code = """
import sys
from moola_remote.config.settings import PodConfig, Project
from moola_remote.protocol.state import read_state
Project.model_validate({"folder": ".", "data": {"numbers": ["a"]}, "on_finish": {"pod": "x"}})
PodConfig.model_validate({"name": "h", "provider": "ssh", "port": 22, "price_per_hour": 1})
read_state({"run_id": "r", "state": "RUNNING", "last_lines": ["one"], "now": 1.5, "more": {}})
sys.exit(" ".join(name for name in sys.modules if name.startswith("pydantic")) or None)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_model_is_frozen_equal_by_its_values_and_copied_with_others() -> None:
    one = OnFinish(pod="x")
    with pytest.raises(AttributeError, match="frozen"):
        one.pod = "y"  # type: ignore[misc]
    assert one == OnFinish.model_validate({"pod": "x"})
    assert hash(one) == hash(OnFinish(pod="x"))
    other = one.model_copy(update={"laptop": "y"})
    assert other == OnFinish(laptop="y", pod="x")
    assert other.model_fields_set == {"laptop", "pod"}
    assert one != other
    assert one.model_dump(exclude_unset=True) == {"pod": "x"}
    assert repr(one) == "OnFinish(laptop=None, pod='x')"


def test_two_models_share_no_default() -> None:
    one, other = Every(whole=1), Every(whole=1)
    one.ending.append(2)
    assert other.ending == [1]


def test_as_json_it_is_what_pydantic_writes() -> None:
    table = {"run_id": "r", "state": "FAILED", "now": math.inf, "ended_at": 1.5, "reason": "ü"}
    light = RunState.model_validate(table)
    heavy = RunState._pydantic().model_validate(table)
    assert light.model_dump_json(exclude={"gpu"}) == heavy.model_dump_json(exclude={"gpu"})
    paths = Project(folder=Path("p"), data={"a": [Path("b")]})
    expected = Project._pydantic().model_validate(dict(paths)).model_dump(mode="json")
    assert paths.model_dump(mode="json") == expected


def test_in_a_model_of_pydantic_it_is_a_field_like_another() -> None:
    class Outer(BaseModel):
        state: RunState | None = None

    table = {"run_id": "r", "state": "RUNNING", "gpu": "2"}
    outer = Outer.model_validate({"state": table})
    assert outer.state == RunState(run_id="r", state="RUNNING", gpu=2)
    assert Outer.model_validate({"state": outer.state}).state is outer.state
    assert outer.model_dump()["state"] == outer.state.model_dump()
    with pytest.raises(ValidationError, match=r"state\.gpu"):
        Outer.model_validate({"state": {**table, "gpu": -1}})
