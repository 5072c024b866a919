"""Which files a fetch of results, logs, checkpoints or all includes."""

from __future__ import annotations

from pathlib import Path

import pytest

from moola_remote.files import hashing
from moola_remote.protocol.manifest import Link, Manifest, ManifestFile, Unreadable
from moola_remote.results import selection
from moola_remote.results.fetched import Caps
from moola_remote.results.selection import What, chosen_of
from tests.support.fetching import FILES, RUN, Pod


def file(path: str, size: int = 1) -> ManifestFile:
    return ManifestFile(path=path, size=size, sha256="0" * 64)


MANIFEST = Manifest(
    schema_=1,
    run_id=RUN,
    files=[
        *map(file, ("artifacts/model", "checkpoints/epoch-1/state", "events.jsonl", "log")),
        *map(file, ("my/checkpoints/kept", "trials/3/checkpoints/a", "trials/3/log")),
    ],
    links=[Link(path="checkpoints/last", target="epoch-1"), Link(path="best", target="artifacts")],
    unreadable=[
        Unreadable(path="checkpoints/pipe", reason="a pipe"),
        Unreadable(path="key", reason="Permission denied", size=3),
    ],
)


@pytest.mark.parametrize(
    ("what", "files", "others"),
    [
        ("logs", ["events.jsonl", "log"], []),
        (
            "checkpoints",
            ["checkpoints/epoch-1/state", "trials/3/checkpoints/a"],
            ["checkpoints/last", "checkpoints/pipe"],
        ),
        (
            "results",
            ["artifacts/model", "events.jsonl", "log", "my/checkpoints/kept", "trials/3/log"],
            ["best", "key"],
        ),
    ],
)
def test_each_part_has_its_files_links_and_what_can_not_be_read(
    what: What, files: list[str], others: list[str]
) -> None:
    chosen, left = chosen_of(MANIFEST, what)
    assert [one.path for one in chosen.files] == files
    assert [one.path for one in (*chosen.links, *chosen.unreadable)] == others
    assert left == []
    assert chosen_of(MANIFEST, "all") == (MANIFEST, [])


def test_of_a_working_folder_results_are_the_smallest_that_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(selection, "WORKDIR_BYTES", 10)
    sizes = {"workdir/c": 6, "artifacts/large": 99, "workdir/a": 7, "workdir/b": 4}
    manifest = Manifest(schema_=1, run_id=RUN, files=[file(*one) for one in sizes.items()])
    chosen, left = chosen_of(manifest, "results")
    assert [one.path for one in chosen.files] == ["workdir/c", "artifacts/large", "workdir/b"]
    assert [one.path for one in left] == ["workdir/a"]


@pytest.mark.process
def test_what_is_left_is_named_by_each_fetch(
    pod: Pod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "WORKDIR_BYTES", 3)
    monkeypatch.setattr(hashing, "RACY_NS", 0)
    pod.write({**FILES, "workdir/out": b"four"})
    for _ in range(3):
        fetched = pod.fetch("results", cache=tmp_path / "hashes.json")
        assert [one.path for one in fetched.left] == ["workdir/out"]
    # Nothing is left where all is asked for; what lies here already is within its own number.
    for caps in (Caps(), Caps(), Caps(max_files=5)):
        fetched = pod.fetch(cache=tmp_path / "hashes.json", caps=caps)
        assert (fetched.left, fetched.missing) == ((), ())
