"""The Tab key: what a real shell is offered, from this machine's files alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from moola_remote.cli.complete import Place
from moola_remote.cli.completion import SHELLS
from moola_remote.config.settings import find_project
from tests.support.lanes import HANGS_S
from tests.support.projects import PROGRAM, Project, make_project
from tests.support.reference import tree
from tests.support.terminal import on_terminal

pytestmark = pytest.mark.process

RUNS = ("20260101-000000-jade-aaaa", "20260102-000000-jade-bbbb")


@pytest.fixture
def here(tmp_path: Path) -> Project:
    project = make_project(tmp_path / "project", tmp_path / "state")
    project.env["HOME"] = str(tmp_path)
    project.write(f"results/{RUNS[0]}/result.json", "{}")
    for pod, run_id in (("local", RUNS[1]), ("host", "20260103-000000-other-cccc")):
        (project.state / "journals" / pod / run_id).mkdir(parents=True)
    return project


def offered(project: Project, typed: str) -> list[str]:
    """What bash offers behind `typed`, by the script that we print."""
    script = project.ok("completion", "bash")
    words = ["moola-remote", *typed.split(" ")]
    asked = " ".join(f"'{word}'" for word in words)
    lines = f"""
PATH={PROGRAM.parent}:$PATH
complete() {{ :; }}  # nothing is typed here
{script}
COMP_WORDS=({asked}); COMP_CWORD={len(words) - 1}
_moola_remote_completion moola-remote
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    with project.running("bash", "--norc", "-c", lines) as shell:
        out, err = shell.communicate(timeout=HANGS_S)
    assert err == ""
    return [line for line in out.splitlines() if line]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("att", ["attach"]),
        ("attach 2026", [RUNS[1], RUNS[0]]),
        ("attach 20260101", [RUNS[0]]),
        ("--pod ", ["host", "local"]),
        ("--pod host logs ", ["20260103-000000-other-cccc", RUNS[0]]),
        ("--pod host resume ", ["20260103-000000-other-cccc", RUNS[1], RUNS[0]]),
        ("compare ", [RUNS[0]]),
        ("report ", [RUNS[0]]),
        ("train --recipe c", ["calm"]),
        ("fetch r", ["results"]),
        ("train --ep", ["--epochs"]),
    ],
)
def test_bash_is_offered_what_fits(here: Project, typed: str, expected: list[str]) -> None:
    assert offered(here, typed) == expected


@pytest.mark.skipif(not shutil.which("fish"), reason="no fish here: apt install fish")
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("attach 2026", [RUNS[0], RUNS[1]]),
        ("--pod ", ["host", "local"]),
        ("train --ep", ["--epochs"]),
    ],
)
def test_fish_is_offered_what_fits(here: Project, typed: str, expected: list[str]) -> None:
    here.write("moola-remote.fish", here.ok("completion", "fish"))
    here.env["PATH"] = f"{PROGRAM.parent}:{os.environ['PATH']}"
    asked = f"source moola-remote.fish; complete -C 'moola-remote {typed}'"
    with here.running("fish", "--no-config", "-c", asked) as shell:
        out, err = shell.communicate(timeout=HANGS_S)
    assert err == ""
    assert [line.partition("\t")[0] for line in out.splitlines()] == expected


@pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh here: apt install zsh")
def test_zsh_completes_what_is_typed(here: Project) -> None:
    here.write("moola-remote.zsh", here.ok("completion", "zsh"))
    env = {**os.environ, **here.env, "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}"}
    env |= {"MOOLA_STATE_DIR": str(here.state), "TERM": "xterm"}
    with on_terminal(["zsh", "-f", "-i"], env, here.folder) as terminal:
        terminal.type("autoload -Uz compinit; compinit -D -u; source moola-remote.zsh\n")
        for typed, completed in (("attach 20260101", RUNS[0]), ("--pod h", "host")):
            terminal.type(f"moola-remote {typed}\t")
            terminal.wait_for(completed.encode())
            terminal.type("\x15")  # the line is given up


def test_a_run_without_a_result_is_offered_too(here: Project) -> None:
    here.write(f"results/{RUNS[1]}/spec.json", "{}")
    assert offered(here, "report ") == [RUNS[1], RUNS[0]]


def test_names_that_could_deceive_a_shell_are_not_offered(here: Project) -> None:
    for name in ("$(touch x)", "a b", "-rf", "a\nb", "\x1b[2J"):
        (here.folder / "results" / name).mkdir()
        (here.folder / "results" / name / "result.json").write_text("{}")
    assert offered(here, "compare ") == [RUNS[0]]


def test_a_broken_project_completes_to_nothing_and_says_nothing(here: Project) -> None:
    here.write("pyproject.toml", "[tool.moola-remote\n")
    assert offered(here, "--pod ") == []
    here.write("pyproject.toml", "tool = 1\n")
    assert offered(here, "attach ") == []


def test_the_tab_key_looks_where_the_commands_look(
    here: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here.folder / "tiny")
    project, place = find_project(Path.cwd()), Place.here()
    assert place.folder == project.folder
    plain = Place(project.folder, {})  # the defaults of both
    here.write("pyproject.toml", "[tool.moola-remote]\n")
    project = find_project(Path.cwd())
    here.write(f"{project.recipes}/wild.yaml", "")
    here.write(f"{project.results}/{RUNS[1]}/result.json", "{}")
    assert plain.recipes() == ["wild"]
    assert plain.fetched() == [RUNS[1], RUNS[0]]
    assert sorted(path.stem for path in project.pods_folder.glob("*.yaml")) == plain.pods()


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_takes_its_script(shell: str, here: Project) -> None:
    script = here.ok("completion", shell)
    assert "_MOOLA_REMOTE_COMPLETE" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True, timeout=HANGS_S)


def test_nothing_heavy_is_loaded_for_a_tab(here: Project) -> None:
    code = """
import atexit, sys
heavy = {"fabric", "paramiko", "httpx", "numpy", "rich", "msgspec", "asyncssh", "yaml", "pyarrow"}
atexit.register(lambda: print("loaded", sorted(heavy & set(sys.modules))))
from moola_remote.cli import main
main([])
"""
    here.env |= {
        "_MOOLA_REMOTE_COMPLETE": "zsh_complete",
        "COMP_WORDS": "moola-remote attach 2026",
        "COMP_CWORD": "2",
    }
    with here.running(PROGRAM.with_name("python"), "-c", code) as process:
        out, err = process.communicate(timeout=HANGS_S)
    assert err == ""
    lines = [line for line in out.splitlines() if line not in ("plain", "_")]
    assert lines == [RUNS[1], RUNS[0], "loaded []"]


def test_whatever_names_a_run_completes() -> None:
    named = {
        f"{context.command_path} {param.name}": param._custom_shell_complete
        for context, command in tree()
        for param in command.params
        if "RUN" in (param.metavar or "")
    }
    assert len(named) > 5
    assert [name for name, complete in named.items() if complete is None] == []
