"""The plainest YAML is read as PyYAML reads it, and no other."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from moola_remote.config.plain_yaml import read_plain

POD = """\
# A machine.
provider: ssh
host: 127.0.0.1  # here
port: 42415
identity_file: ~/.ssh/id_ed25519

host_key: SHA256:oWKJzQNvk+tsL0hdvlFeIT++bmdDwyn363BYeQ7dRfk
root: /work/root
price_per_hour: 0.69
"""
PARTS = st.sampled_from(
    [
        *(
            "provider",
            "host",
            "ssh",
            "on",
            "No",
            "null",
            "~",
            "~/x",
            "/",
            "a",
            "A-b",
            "1",
            "0",
            "007",
        ),
        *("0x1f", "1.5", "1.", ".5", "1e3", "1_0", "12:30", "10.0.0.1", "1.2.3", "2026-01-01"),
        *(
            ": ",
            ":",
            " ",
            "  ",
            "\n",
            "#",
            " #",
            "-",
            "- ",
            "@",
            "!",
            "&",
            "*",
            "?",
            "<<",
            "=",
            "|",
        ),
        *('"', "'", "{", "}", "[", "]", ",", "%", "\t", "\r", "\x85", "\x07", "é", "---", "..."),
    ]
)
LINES = st.lists(PARTS, max_size=5).map("".join) | st.tuples(PARTS, PARTS).map(": ".join)


def same_or_none(text: str) -> Any:
    found = read_plain(text)
    if found is not None:
        expected = yaml.safe_load(text)
        assert found == expected
        assert list(map(type, found.values())) == list(map(type, expected.values()))
    return found


def test_a_pod_of_words_is_read() -> None:
    assert same_or_none(POD) == yaml.safe_load(POD)


@pytest.mark.fuzz
@given(st.lists(LINES, max_size=4).map("\n".join) | st.text(max_size=12).map("a: ".__add__))
def test_what_is_read_is_what_pyyaml_reads(text: str) -> None:
    same_or_none(text)


@pytest.mark.parametrize(
    "line",
    [
        *("a: yes", "a: Null", "on: x", "a: ~", "a:", "a: 010", "a: 1e3", "a: 12:30:45", "a: b: c"),
        *(
            "a: b:",
            "a: [x]",
            "a: 'x'",
            "  a: b",
            "a: b\n  c",
            "a: é",
            "a: b\tc",
            "a: b # \x07",
            "- a",
        ),
        *(
            "a: 2026-01-01",
            "a: .5",
            "a: +1",
            "a: 0x1f",
            "a: x #\x85b: c",
            "a: b\r",
            "",
            "a: 9999999999",
        ),
    ],
)
def test_any_other_is_left_to_pyyaml(line: str) -> None:
    assert read_plain(line) is None
