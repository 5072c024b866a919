"""What arrives becomes a tree only if it is, byte for byte, what the list says."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.pods import AgentPod

pytestmark = pytest.mark.process

Listing = dict[str, Any]


def listing(tree: Path) -> Listing:
    """The list of a tree, made the slow and plain way."""
    files = []
    for path in sorted(tree.rglob("*"), key=lambda path: os.fsencode(path.relative_to(tree))):
        if path.is_symlink():
            content, mode = os.fsencode(path.readlink()), "120000"
        elif path.is_file():
            content = path.read_bytes()
            mode = "100755" if path.stat().st_mode & 0o100 else "100644"
        elif not any(path.iterdir()):
            content, mode = b"", "040000"
        else:
            continue
        name = path.relative_to(tree).as_posix()
        sha256 = hashlib.sha256(content).hexdigest()
        files.append({"path": name, "size": len(content), "sha256": sha256, "mode": mode})
    return {"schema": 1, "kind": "code", "files": files}


def digest(listed: Listing) -> str:
    records = [
        f"{file['mode']} {file['sha256']} ".encode() + os.fsencode(file["path"]) + b"\0"
        for file in listed["files"]
    ]
    return hashlib.sha256(b"".join(records)).hexdigest()[:16]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with most of what may be in one."""
    top = tmp_path / "tree"
    (top / "package" / "deep").mkdir(parents=True)
    (top / "package" / "deep" / "a'b; echo.py").write_text("print(1)\n")
    (top / "package" / "empty").touch()
    (top / "hollow" / "er").mkdir(parents=True)
    (top / "-n").write_text("dash\n")
    (top / "run.sh").write_text("#!/bin/sh\n")
    (top / "run.sh").chmod(0o755)
    (top / "link").symlink_to("package/deep")
    (top / os.fsdecode(b"latin-\xe9")).write_text("no UTF-8\n")
    return top


def receive(pod: AgentPod, tree: Path, name: str) -> Path:
    """What rsync leaves on the pod."""
    incoming = pod.root / "code" / f".incoming-{name}"
    shutil.copytree(tree, incoming, symlinks=True)
    return incoming


def test_a_tree_as_listed_is_renamed_and_shown(pod: AgentPod, tree: Path) -> None:
    listed = listing(tree)
    name = digest(listed)
    receive(pod, tree, name)
    assert pod.ask("seal", "code", name, stdin=listed) == {
        "ok": True,
        "sealed": True,
        "files": len(listed["files"]),
    }
    assert listing(pod.root / "code" / name) == listed
    assert not (pod.root / "code" / f".incoming-{name}").exists()
    assert pod.ask("probe")["trees"] == {"code": [name], "data": []}
    assert pod.ask("seal", "code", name, stdin=listed)["sealed"] is False


def test_what_a_complete_tree_has_is_linked_and_hashed_all_the_same(
    pod: AgentPod, tree: Path
) -> None:
    listed = listing(tree)
    receive(pod, tree, digest(listed))
    assert pod.ask("link", "code", digest(listed), stdin=listed)["missing"] == [
        file["path"] for file in listed["files"]
    ]
    pod.ask("seal", "code", digest(listed), stdin=listed)
    old = pod.root / "code" / digest(listed)
    (tree / "-n").write_text("other\n")
    (tree / "run.sh").chmod(0o644)
    listed = listing(tree)
    name = digest(listed)
    changed = ["-n", "run.sh"]
    assert sorted(pod.ask("link", "code", name, stdin=listed)["missing"]) == changed
    incoming = pod.root / "code" / f".incoming-{name}"
    assert (incoming / "package" / "empty").samefile(old / "package" / "empty")
    assert (incoming / "link").readlink() == Path("package/deep")
    assert (incoming / "hollow" / "er").is_dir()
    shutil.copy(tree / "-n", incoming)
    shutil.copy(tree / "run.sh", incoming)
    # What was linked is not taken on trust.
    (old / "package" / "deep" / "a'b; echo.py").write_text("print(2)\n")
    answer = pod.ask("seal", "code", name, stdin=listed)
    assert answer["different"] == ["package/deep/a'b; echo.py"]
    (old / "package" / "deep" / "a'b; echo.py").write_text("print(1)\n")
    assert pod.ask("seal", "code", name, stdin=listed)["sealed"]
    assert listing(pod.root / "code" / name) == listed


@pytest.mark.parametrize("record", ["{}", "[]", "{", '{"files": 3}', '{"files": [3, {}]}'])
def test_a_damaged_list_of_another_tree_costs_what_it_has_alone(
    pod: AgentPod, tree: Path, record: str
) -> None:
    (_sealed(pod, tree).with_suffix(".json")).write_text(record)
    (tree / "-n").write_text("other\n")
    listed = listing(tree)
    missing = pod.ask("link", "code", digest(listed), stdin=listed)["missing"]
    assert missing == [file["path"] for file in listed["files"]]


def _held(content: bytes) -> dict[str, object]:
    return {"base64": base64.b64encode(content).decode(), "modified_ns": 10**18}


def _sealed(pod: AgentPod, tree: Path) -> Path:
    listed = listing(tree)
    receive(pod, tree, digest(listed))
    assert pod.ask("seal", "code", digest(listed), stdin=listed)["sealed"]
    return pod.root / "code" / digest(listed)


def test_what_comes_with_the_request_is_sealed_at_once(pod: AgentPod, tree: Path) -> None:
    old = _sealed(pod, tree)
    (tree / "-n").write_text("other\n")
    (tree / "run.sh").write_text("echo 2\n")
    listed = listing(tree)
    content = {name: _held((tree / name).read_bytes()) for name in ("-n", "run.sh")}
    # What an earlier attempt linked is not written through.
    incoming = pod.root / "code" / f".incoming-{digest(listed)}"
    incoming.mkdir()
    (incoming / "-n").hardlink_to(old / "-n")
    (incoming / "left").write_text("of another list")
    before = listing(old)
    answer = pod.ask("link", "code", digest(listed), stdin={**listed, "content": content})
    assert (answer["missing"], answer["sealed"]) == ([], True)
    new = pod.root / "code" / digest(listed)
    assert listing(new) == listed
    assert listing(old) == before
    assert [(new / name).stat().st_mtime_ns for name in content] == [10**18, 10**18]
    assert (new / "package" / "empty").samefile(old / "package" / "empty")
    assert pod.ask("probe")["trees"]["code"] == [old.name, new.name]
    again = pod.ask("link", "code", digest(listed), stdin=listed)
    assert (again["missing"], again["sealed"]) == ([], False)


def test_the_first_question_may_have_a_tree_made(pod: AgentPod, tree: Path) -> None:
    listed = listing(tree)
    held = {"-n": _held((tree / "-n").read_bytes())}
    asked = {**listed, "digest": digest(listed), "content": held}
    answer = pod.ask("probe", stdin={"link": asked})
    assert (answer["sealed"], answer["trees"]["code"]) == (False, [])
    assert not (pod.root / "code" / f".incoming-{digest(listed)}").exists()
    trees = [_sealed(pod, tree).name]
    for sent, is_sealed in ((b"other\n", True), (b"other\n", False), (b"othex\n", False)):
        (tree / "-n").write_text("other\n" if sent == b"other\n" else "third\n")
        listed = listing(tree)
        asked = {**listed, "digest": digest(listed), "content": {"-n": _held(sent)}}
        trees += [digest(listed)] if is_sealed else []
        answer = pod.ask("probe", stdin={"link": asked})
        assert (answer["sealed"], answer["trees"]["code"]) == (is_sealed, trees)


@pytest.mark.parametrize("where", ["request", "tree"])
def test_what_comes_with_the_request_is_hashed_as_what_was_linked(
    pod: AgentPod, tree: Path, where: str
) -> None:
    old = _sealed(pod, tree)
    (tree / "-n").write_text("other\n")
    listed = listing(tree)
    content = {"-n": _held(b"othex\n" if where == "request" else b"other\n")}
    if where == "tree":
        (old / "run.sh").write_text("echo 2\n")
    answer = pod.ask("link", "code", digest(listed), stdin={**listed, "content": content})
    assert answer["different"] == ["-n" if where == "request" else "run.sh"]
    assert not (pod.root / "code" / digest(listed)).exists()
    assert pod.ask("probe")["trees"]["code"] == [old.name]


def test_content_of_what_is_not_listed_is_not_written(pod: AgentPod, tree: Path) -> None:
    _sealed(pod, tree)
    (tree / "new").write_text("new\n")
    listed = listing(tree)
    strange = {"../out": _held(b"x"), "link": _held(b"x"), "hollow/er": _held(b"x")}
    answer = pod.ask("link", "code", digest(listed), stdin={**listed, "content": strange})
    assert answer["missing"] == ["new"]
    assert not (pod.root / "code" / "out").exists()
    assert (pod.root / "code" / f".incoming-{digest(listed)}" / "link").is_symlink()


def test_what_is_not_in_the_list_is_removed(pod: AgentPod, tree: Path) -> None:
    listed = listing(tree)
    name = digest(listed)
    incoming = receive(pod, tree, name)
    (incoming / ".run.sh.x7Yz").write_text("rest of an rsync")
    (incoming / "old" / "er").mkdir(parents=True)
    (incoming / "old" / "er" / "file").touch()
    (incoming / "way-out").symlink_to("/etc")
    (incoming / "hollow" / "er" / "full" / "of").mkdir(parents=True)
    os.mkfifo(incoming / "pipe")
    assert pod.ask("seal", "code", name, stdin=listed)["ok"]
    assert listing(pod.root / "code" / name) == listed
    assert not (pod.root / "code" / name / "old").exists()


@pytest.mark.parametrize(
    ("script", "missing", "different"),
    [
        ("rm run.sh", ["run.sh"], []),
        ("echo x >>package/empty", [], ["package/empty"]),
        ("printf 'dasH\\n' >./-n", [], ["-n"]),
        ("chmod -x run.sh", [], ["run.sh"]),
        ("rm run.sh; ln -s /bin/sh run.sh", [], ["run.sh"]),
        ("rm run.sh; mkfifo run.sh; chmod 755 run.sh", [], ["run.sh"]),
        ("rm link; ln -s package link", [], ["link"]),
        ("mv package p; ln -s p package", ["package/deep/a'b; echo.py", "package/empty"], []),
        ("rm run.sh; mkdir run.sh", [], ["run.sh"]),
        ("rmdir hollow/er", ["hollow/er"], []),
        ("rmdir hollow/er; touch hollow/er", [], ["hollow/er"]),
        ("rm package/empty; mkfifo package/empty", [], ["package/empty"]),
        ("rmdir hollow/er; ln -s ../package hollow/er", [], ["hollow/er"]),
    ],
)
def test_a_tree_that_differs_is_refused_and_named(
    pod: AgentPod, tree: Path, script: str, missing: list[str], different: list[str]
) -> None:
    listed = listing(tree)
    name = digest(listed)
    incoming = receive(pod, tree, name)
    subprocess.run(["sh", "-c", script], cwd=incoming, check=True)
    answer = pod.ask("seal", "code", name, stdin=listed)
    assert (answer["ok"], answer["error"]) == (False, "different")
    assert (answer["missing"], answer["different"]) == (missing, different)
    assert not (pod.root / "code" / name).exists()
    assert pod.ask("probe")["trees"]["code"] == []


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "package/../../x", ".."])
def test_a_link_that_leaves_the_tree_is_refused_although_it_is_listed(
    pod: AgentPod, tree: Path, target: str
) -> None:
    (tree / "package" / "deep" / "way-out").symlink_to(f"../../{target}".replace("..//", "/"))
    if target.startswith("/"):
        (tree / "package" / "deep" / "way-out").unlink()
        (tree / "package" / "deep" / "way-out").symlink_to(target)
    listed = listing(tree)
    name = digest(listed)
    receive(pod, tree, name)
    assert pod.ask("seal", "code", name, stdin=listed)["different"] == ["package/deep/way-out"]


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../x", "a//x", "", ".", "a\0b"])
def test_a_list_with_a_path_outside_is_refused(pod: AgentPod, path: str) -> None:
    file = {"path": path, "size": 0, "sha256": "00", "mode": "100644"}
    listed = {"schema": 1, "kind": "code", "files": [file]}
    answer = pod.ask("seal", "code", digest(listed), stdin=listed)
    assert (answer["ok"], answer["error"]) == (False, "bad_request")


def test_a_list_with_a_path_below_a_link_writes_nothing_through_it(
    pod: AgentPod, tree: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tree / "way-out").symlink_to(outside)
    listed = listing(tree)
    held = b"x"
    below = {"path": "way-out/x", "size": 1, "mode": "100644"}
    listed["files"].append({**below, "sha256": hashlib.sha256(held).hexdigest()})
    listed["files"].sort(key=lambda file: os.fsencode(file["path"]))
    receive(pod, tree, digest(listed))
    for verb in ("link", "seal"):
        content = {"content": {"way-out/x": _held(held)}}
        answer = pod.ask(verb, "code", digest(listed), stdin={**listed, **content})
        assert (answer["ok"], answer["error"]) == (False, "bad_request")
        assert answer["message"].startswith("'way-out': a path is listed below it")
    assert not any(outside.iterdir())


def test_a_list_that_is_not_the_digests_is_refused(pod: AgentPod, tree: Path) -> None:
    answer = pod.ask("seal", "code", "0123456789abcdef", stdin=listing(tree))
    assert answer["message"].startswith("digest 0123456789abcdef: the list's own is ")


def test_a_list_that_names_a_path_twice_is_refused(pod: AgentPod, tree: Path) -> None:
    listed = listing(tree)
    name = digest(listed)
    receive(pod, tree, name)
    listed["files"].append(listed["files"][0])
    answer = pod.ask("seal", "code", name, stdin=listed)
    assert answer["error"] == "bad_request"
    assert "or listed twice" in answer["message"]
    assert not (pod.root / "code" / name).exists()


def test_nothing_arrived_is_everything_missing(pod: AgentPod, tree: Path) -> None:
    listed = listing(tree)
    answer = pod.ask("seal", "code", digest(listed), stdin=listed)
    assert len(answer["missing"]) == len(listed["files"])


def test_six_seals_at_once_all_succeed_and_one_renames(pod: AgentPod, tree: Path) -> None:
    listed = listing(tree)
    name = digest(listed)
    receive(pod, tree, name)
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: pod.ask("seal", "code", name, stdin=listed), range(6)))
    assert sum(answer["sealed"] for answer in answers) == 1
    assert listing(pod.root / "code" / name) == listed


def test_a_seal_that_was_cut_after_the_rename_is_completed(pod: AgentPod, tree: Path) -> None:
    listed = listing(tree)
    name = digest(listed)
    receive(pod, tree, name).rename(pod.root / "code" / name)
    assert pod.ask("probe")["trees"]["code"] == []
    assert pod.ask("seal", "code", name, stdin=listed)["sealed"]
    assert pod.ask("probe")["trees"]["code"] == [name]


def test_a_job_runs_in_its_code_and_finds_its_data(pod: AgentPod, tree: Path) -> None:
    listed = listing(tree)
    name = digest(listed)
    receive(pod, tree, name)
    pod.ask("seal", "code", name, stdin=listed)
    data = pod.root / "data" / f".incoming-{name}"
    shutil.copytree(tree, data, symlinks=True)
    pod.ask("seal", "data", name, stdin={**listed, "kind": "data"})
    run_id = pod.start("./run.sh", code=name, data=name)
    assert pod.wait(run_id)["state"] == "SUCCEEDED"
    run_id = pod.shell('pwd; echo "$MOOLA_DATA_DIR"', code=name, data=name)
    expected = [str(pod.folder(run_id) / "workdir"), str(pod.root / "data" / name)]
    assert pod.wait(run_id)["last_lines"] == expected
