"""``up``, ``stop``, ``down``, ``pods``, ``ssh``: the machine itself."""

from __future__ import annotations

import sys

import click

from moola_remote.cli.loss import force_option, refuse_loss
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
@force_option
@click.pass_obj
def stop(session: Session, force: bool) -> None:
    """Stop the pod; refused while a run goes on, or while anything on it has no copy here.

    \b
    Example:
      moola-remote stop
    """
    if not force and session.provider.status().state == "up":
        refuse_loss(session, "stop")
    session.close()
    session.provider.stop()
    _tell(session, "stopped", f"its files stay; {session.command} up starts it again")


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@force_option
@click.pass_obj
def down(session: Session, yes: bool, force: bool) -> None:
    """Remove the pod and everything on it.

    Refused while a run goes on, or while anything on it has no verified copy here.

    \b
    Example:
      moola-remote down
    """
    state = session.provider.status().state
    if state == "absent":
        _tell(session, "absent", "there was nothing to remove")
        return
    if state == "stopped" and not force and session.pod.provider != "local":
        raise LimitError(
            f"pod {session.pod.name}: stopped, so that what is on it can't be looked at",
            f"{session.command} up, then fetch; or {session.command} down --force",
        )
    if state != "foreign":
        if not force:
            refuse_loss(session, "down")
        _ask(session, is_asking=not yes)
    session.close()
    session.provider.down(remove_data=True)
    _tell(session, "removed", "with every run on it")


def _ask(session: Session, *, is_asking: bool) -> None:
    if not is_asking:
        return
    question = f"Remove pod {session.pod.name} and everything on it?"
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
