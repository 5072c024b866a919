"""What is taken for granted in a project without settings, said before anything is done."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from moola_remote.errors import ConfigError

# What starts a file that is no program by itself.
_STARTERS = {
    ".py": "python",
    ".sh": "sh",
    ".ipynb": "jupyter nbconvert --to notebook --execute --inplace",
}

if TYPE_CHECKING:
    from moola_remote.cli.app import App
    from moola_remote.config.settings import Project
    from moola_remote.deploy.deploy import Plan
    from moola_remote.deploy.snapshot import Tree


def report_assumed(app: App, plan: Plan, pods: Sequence[str] = ()) -> None:
    """Print on stderr what was assumed where there are no settings; nothing where there are any.

    Args:
        app: the command's.
        plan: what is sent.
        pods: where it is sent to, by name; empty is the command's pod.
    """
    project = app.project
    if project.file is not None:
        return
    listed = "that git lists" if plan.code.source else "less those that .moolaignore names"
    data = ", ".join(part.name for part in plan.data.parts) if plan.data else "none"
    folder = project.folder
    count = len(plan.code.files)
    rows = {
        "code": f"{count} {'file' if count == 1 else 'files'} of {folder}, {listed}",
        "dependencies": plan.dependencies.source or _no_dependencies(plan),
        "data": data if plan.data else "none; --data NAME=PATH sends some",
        **_pods_row(app, pods or (app.pod.name,)),
        "results": f"{project.results_folder}, after: moola-remote fetch results",
    }
    click.echo("no [tool.moola-remote] here or above, so these settings are assumed:", err=True)
    for name, words in rows.items():
        click.echo(f"  {name + ':':14}{words}", err=True)
    click.echo("  moola-remote init writes them to a file for you to change", err=True)


def report_inline(plan: Plan, folder: Path, argv: Sequence[str]) -> None:
    """Print on stderr that a script's own list of packages is not read, where it is the only one.

    Args:
        plan: what is sent.
        folder: the project's.
        argv: the command.
    """
    from moola_remote.deploy.undeclared import undeclared_by
    from moola_remote.protocol.label import script_of

    script = script_of(argv)
    note = undeclared_by(folder, script) if script and not plan.dependencies.source else ""
    if note:
        click.echo(f"note: {note}", err=True)


def _no_dependencies(plan: Plan) -> str:
    if plan.dependencies.notes:
        return "none that can be read; see the note above"
    return "none: no file declares any"


def _pods_row(app: App, names: Sequence[str]) -> dict[str, str]:
    if len(names) > 1:
        return {"pods": ", ".join(names)}
    is_local = app.pod.name == names[0] and app.pod.config.provider == "local"
    return {"pod": f"{names[0]}, on this machine" if is_local else names[0]}


def check_script(project: Project, argv: Sequence[str], here: Path) -> None:
    """Check that a script is named as the pod will see it, which starts in the project's folder.

    Args:
        project: its folder is the one that travels.
        argv: the command.
        here: the folder that the command was typed in.

    Raises:
        ConfigError: a script is there below `here`, and is not below the project's folder; or it is
            a console script of the project, which is not installed; or a shell's line.
    """
    from moola_remote.deploy.dependencies import reader_of
    from moola_remote.deploy.pyproject import console_scripts

    _check_program(project.folder, argv)
    entry = console_scripts(reader_of(project.folder)).get(argv[0])
    if entry is not None:
        module, _, name = entry.partition(":")
        call = f"python -c 'from {module} import {name}; {name}()'" if name else ""
        raise ConfigError(
            f"{argv[0]}: a console script of this project, which is not installed on the pod",
            f"run -- {call or f'python -m {module}'}, with its options behind",
        )
    if not here.is_relative_to(project.folder) or here == project.folder:
        return
    for word in argv[:3]:
        if word.endswith((".py", ".sh")) and (here / word).is_file():
            named = (here / word).resolve()
            if (project.folder / word).is_file() or not named.is_relative_to(project.folder):
                continue
            path = named.relative_to(project.folder).as_posix()
            raise ConfigError(
                f"{word}: the run starts in {project.folder}, and there is no such file in it",
                f"name it as {path}",
            )


def _check_program(folder: Path, argv: Sequence[str]) -> None:
    """Refuse what only a shell would take for a program, before a pod is rented for it."""
    word = argv[0]
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*=.*", word, re.DOTALL):
        rest = shlex.join(argv[1:]) or "COMMAND"
        cure = f"run --env {shlex.quote(word)} -- {rest}"
        if "{" in word:  # of a sweep, whose variables are the same in all trials
            cure = f"sweep -- sh -c {shlex.quote(f'{word} {rest}')}"
        raise ConfigError(f"{word}: a variable, expected a program", cure)
    file = folder / word
    is_below = "/" in word and not word.startswith("/")
    is_bare = "/" not in word and file.suffix in _STARTERS  # the pod looks for it in its PATH
    if file.is_file() and (is_bare or (is_below and not os.access(file, os.X_OK))):
        how = _STARTERS.get(file.suffix, "sh")
        raise ConfigError(
            f"{word}: a file, expected a program that starts it",
            f"run -- {how} {shlex.quote(word)}",
        )
    is_path = word.startswith(("/", "./", "../", "~")) or (folder / word).exists()
    if len(word.split()) > 1 and not is_path:
        raise ConfigError(
            f"{word!r}: one word, expected a program and its words, each by itself",
            f"leave the quotes out; or for a shell: run -- sh -c {shlex.quote(word)}",
        )


def check_read(data: Tree | None, reads: Mapping[str, Sequence[str]]) -> None:
    """Check that what a recipe reads is among the data that is sent.

    Args:
        data: what is sent.
        reads: the paths of each key of the recipe that is one.

    Raises:
        ConfigError: it is not, so that the run would end at once, on a pod that may cost money.
    """
    from moola_remote.config.nearest import nearest
    from moola_remote.config.recipe import is_below

    names = [file.path for file in data.files] if data else []
    read = {path for paths in reads.values() for path in paths}
    for key, path in ((key, path) for key, paths in reads.items() for path in paths):
        if not is_below(path) or any(f"{name}/".startswith(f"{path}/") for name in names):
            continue
        part = path.partition("/")[0]
        free = [name for name in names if name.startswith(f"{part}/") and name not in read]
        perhaps = nearest(path, free) or next(iter(free), None)
        sent = ", ".join(names[:3]) or "none"
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise ConfigError(
            f"the recipe's {key} is {path}, expected a file of the data that would be sent:"
            f" {sent}{more}",
            f"--set {key}={perhaps}" if perhaps else f"--data {part}=PATH, or change --set {key}",
        )


def check_sent(code: Tree, folder: Path, argv: Sequence[str]) -> None:
    """Check that the script which a command starts is among the code that is sent.

    Args:
        code: what is sent.
        folder: the project's.
        argv: the command.

    Raises:
        ConfigError: it is not, so that the run would end at once, on a pod that may cost money.
    """
    from moola_remote.config.nearest import nearest
    from moola_remote.deploy.snapshot import LINK
    from moola_remote.protocol.label import script_of

    word = script_of(argv)
    if word is None or not word.endswith((".py", ".sh")):
        return
    names = {file.path for file in code.files}
    links = {file.path for file in code.files if file.mode == LINK}
    above = [parent.as_posix() for parent in PurePosixPath(word).parents]
    if word in names or links.intersection(above):
        return
    if (folder / word).exists():
        rules = [
            skipped.rule
            for skipped in code.left_out
            if any(path.rstrip("/") in (word, *above) for path in skipped.paths)
        ]
        raise ConfigError(
            f"{word}: is not among the code that is sent, {rules[0] if rules else 'ignored'}",
            "take it out of .gitignore or .moolaignore, or give it another name",
        )
    scripts = sorted(name for name in names if name.endswith(PurePosixPath(word).suffix))
    meant = nearest(word, scripts)
    raise ConfigError(
        f"{word}: no such file in {folder}", f"did you mean {meant}?" if meant else ""
    )
