"""What is struck out of whatever is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from moola_remote.text import redact as redact_module
from moola_remote.text.redact import redact, remember, strike


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redact_module, "_remembered", set())


def test_what_a_variable_or_somebody_calls_secret_is_struck(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MY_TOKEN", "tok-1234")
    remember("kept-5678")
    assert strike("a tok-1234 b kept-5678 c /home") == "a *** b *** c /home"


def test_a_secret_that_holds_another_goes_as_a_whole() -> None:
    remember("abcdef")
    remember("abcdef-and-more")
    assert strike("<abcdef-and-more>") == "<***>"


@pytest.mark.parametrize("value", ["tok\\1234'x\"", "key of\nlines", "schlüssel"])
def test_a_secret_is_struck_as_it_stands_and_as_it_is_quoted(value: str) -> None:
    remember(value)
    reported = f"a {value} b {value!r} c {json.dumps(value)}"
    assert strike(reported).replace('"', "'") == "a *** b '***' c '***'"


def test_a_value_of_a_few_letters_strikes_nothing() -> None:
    remember("abc")
    assert strike("abcabc") == "abcabc"


def test_for_strangers_what_looks_secret_and_the_home_folder_go_too() -> None:
    assert redact("token=abcdefgh next") == "token=*** next"
    assert redact("unknown key 'x'") == "unknown key 'x'"
    assert redact(f"{Path.home()}/x") == "~/x"
