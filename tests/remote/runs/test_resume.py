"""What a resume takes from others is checked before it is used."""

from __future__ import annotations

import json
from typing import Any

import pytest

from moola_remote.deploy.sealed_list import read_list
from moola_remote.deploy.snapshot import File, digest_of
from moola_remote.errors import ConfigError, TransferError
from moola_remote.protocol.spec import Spec
from moola_remote.runs.parents import Parent
from moola_remote.runs.resume import require_secrets

FILE = File("tiny/train.py", 3, "ab" * 32, "100644")


def listed(*files: File) -> bytes:
    return json.dumps({"schema": 1, "files": [file._asdict() for file in files]}).encode()


def test_a_trees_list_is_the_one_of_its_name() -> None:
    assert read_list(listed(FILE), digest_of([FILE])) == (FILE,)
    with pytest.raises(TransferError, match="not the one of this name"):
        read_list(listed(FILE, FILE), digest_of([FILE]))


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a//b", "a/./b", "a\0b", ""])
def test_a_path_outside_of_the_tree_is_refused_whatever_its_digest(path: str) -> None:
    file = File(path, 3, "ab" * 32, "100644")
    with pytest.raises(TransferError, match="not the one of this name"):
        read_list(listed(file), digest_of([file]))


@pytest.mark.parametrize("content", [b"", b"[]", b'{"files": [{}]}', b'{"files": [{"path": 3}]}'])
def test_what_is_no_list_is_reported(content: bytes) -> None:
    with pytest.raises(TransferError, match="its list on the pod can't be read"):
        read_list(content, "0" * 16)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"run_id": "r", "argv": []},
        {"run_id": "r", "argv": "sh"},
        {"run_id": "r", "argv": ["sh", 3]},
        {"run_id": "r", "argv": ["sh"], "code": "../../etc"},
        {"run_id": "r", "argv": ["sh"], "data": 7},
        [],
    ],
)
def test_what_is_no_spec_is_reported(spec: Any) -> None:
    with pytest.raises(ConfigError, match="there: not the spec of a run"):
        Spec.read(json.dumps(spec).encode(), "there")


def test_a_spec_is_kept_whole() -> None:
    spec = {"run_id": "r", "argv": ["sh"], "code": "0" * 16, "data": None, "of next year": {"a": 1}}
    assert Spec.read(json.dumps(spec).encode(), "there").whole == spec


def test_a_changed_spec_keeps_the_keys_and_bytes_that_are_not_changed() -> None:
    diff = "-a\x1b[2J\n+b"
    source = {"commit": None, "branch": "b" * 90, "dirty": True, "diff": diff}
    spec = Spec.new("r", ["sh", "\udcff"], trees={"code": "0" * 16}, source=source)
    later = spec.changed(run_id="s", price_per_hour=0.5)
    assert later.whole == {**spec.whole, "run_id": "s", "price_per_hour": 0.5}
    assert json.loads(json.dumps(later.whole))["source"]["diff"] == diff
    assert later.argv == ["sh", "\udcff"]
    assert later.source is not None
    assert "\x1b" not in later.source.diff


def test_secrets_have_to_be_given_again() -> None:
    spec = Spec.new("run", ["sh"], trees={}, secret_names=["TOKEN", "KEY"])
    parent = Parent("run", spec, None, is_here=True)
    require_secrets(parent, {"TOKEN": "x", "KEY": "y"})
    with pytest.raises(ConfigError, match="none of which was kept; --secret KEY"):
        require_secrets(parent, {"TOKEN": "x"})
