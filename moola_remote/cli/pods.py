"""``up``, ``stop``, ``down``, ``pods``, ``ssh``: the machine itself."""

from __future__ import annotations

import sys

import click

from moola_remote.errors import ConfigError, LimitError
from moola_remote.session import Session


@click.command()
@click.pass_obj
def up(session: Session) -> None:
    """Make or start the pod, and say where it is.

    \b
    Example:
      moola-remote up
    """
    endpoint = session.provider.up()
    place = {"host": endpoint.host, "port": endpoint.port, "user": endpoint.user}
    if session.as_json:
        session.answer({"pod": endpoint.name, **place})
    else:
        click.echo(f"{endpoint.name}: up at {endpoint.user}@{endpoint.host} port {endpoint.port}")


@click.command()
@click.pass_obj
def stop(session: Session) -> None:
    """Stop the pod; what is on it stays. A job of the local pod runs on.

    \b
    Example:
      moola-remote stop
    """
    session.provider.stop()
    _tell(session, "stopped", f"its files stay; {session.command} up starts it again")


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def down(session: Session, yes: bool) -> None:
    """Remove the pod and everything on it; refused while a run goes on.

    \b
    Example:
      moola-remote down
    """
    if session.provider.status().state == "absent":
        _tell(session, "absent", "there was nothing to remove")
        return
    if session.provider.status().state != "foreign":
        _guard_runs(session, is_asking=not yes)
    session.close()
    session.provider.down(remove_data=True)
    _tell(session, "removed", "with every run on it")


def _guard_runs(session: Session, *, is_asking: bool) -> None:
    """Nothing is removed under a run, nor, unasked, what was not fetched."""
    from moola_remote.results import fetched
    from moola_remote.runs import list_runs

    runs = list_runs(session.agent)
    alive = [run for run in runs if not run.has_ended]
    if alive:
        raise LimitError(
            f"pod {session.pod.name}: run {alive[-1].run_id} is {alive[-1].state}",
            f"{session.command} cancel {alive[-1].run_id}, or wait for its end",
        )
    if not is_asking:
        return
    here = {path.name for path in fetched(session.project.results_folder)}
    num_lost = len([run for run in runs if run.run_id not in here])
    question = (
        f"Remove pod {session.pod.name} with {len(runs)} runs, {num_lost} of them not fetched?"
    )
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} Nobody is there to answer, expected --yes")
    click.confirm(question, abort=True, err=True)


def _tell(session: Session, state: str, words: str) -> None:
    if session.as_json:
        session.answer({"pod": session.pod.name, "state": state})
    else:
        click.echo(f"{session.pod.name}: {state}; {words}")


@click.command()
@click.pass_obj
def pods(session: Session) -> None:
    """List the project's pods; one whose file is wrong is told, and hides no other.

    \b
    Example:
      moola-remote pods
    """
    for path in sorted(session.project.pods_folder.glob("*.yaml")):
        fields = _look(session, path.stem)
        if session.as_json:
            session.answer(fields)
        else:
            click.echo("{pod:20} {provider:8} {state:8} {detail}".format(**fields))


def _look(session: Session, name: str) -> dict[str, str]:
    from moola_remote.config import load_pod
    from moola_remote.providers import provider_for

    try:
        pod = load_pod(session.project, name)
        status = provider_for(pod).status()
    except ConfigError as err:
        return {"pod": name, "provider": "-", "state": "wrong", "detail": str(err)}
    told = {"state": status.state, "detail": status.detail}
    return {"pod": name, "provider": pod.provider, **told}


@click.command()
@click.argument("command", metavar="-- COMMAND ...", nargs=-1, required=True)
@click.pass_obj
def ssh(session: Session, command: tuple[str, ...]) -> None:
    """Run a command in the pod's shell, over the tool's own connection; its exit code is ours.

    \b
    Example:
      moola-remote ssh -- 'nvidia-smi | head'
    """
    from moola_remote.screen import Screen, safe_lines

    channel = session.transport.open(["sh", "-c", " ".join(command)])
    channel.close_stdin()
    # What goes to a screen is made safe; what goes to a pipe is the bytes.
    screen = Screen() if sys.stdout.isatty() else None
    while data := channel.read(1 << 16):
        click.echo(data if screen is None else _joined(screen.feed(data)), nl=False)
    click.echo(_joined(screen.close() if screen else []), nl=False)
    code = channel.returncode()
    said = channel.stderr().decode("utf-8", "replace")
    click.echo(_joined(safe_lines(said)), nl=False, err=True)
    click.get_current_context().exit(code if code >= 0 else 255)


def _joined(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


COMMANDS = [up, stop, down, pods, ssh]
