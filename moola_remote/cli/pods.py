"""``up``, ``stop``, ``down``, ``pods``, ``ssh``: the machine itself."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from moola_remote.cli.loss import ask, force_option, refuse_loss, yes_option
from moola_remote.cli.options import idle_stop_option
from moola_remote.errors import ConfigError, LimitError, MoolaError
from moola_remote.session import Session

if TYPE_CHECKING:
    from moola_remote.providers import Provider


@click.command()
@idle_stop_option
@click.pass_obj
def up(session: Session) -> None:
    """Make or start the pod, and say where it is; a rented one is then paid for.

    What it costs and each candidate is told on stderr. A rented pod that isn't ready in time is
    removed again, or stopped where it had been stopped; Ctrl-C asks whether to keep it.

    \b
    Example:
      moola-remote up
    """
    endpoint = session.bring_up()
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
@yes_option
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
        if not yes:
            ask(f"Remove pod {session.pod.name} and everything on it?")
    session.close()
    session.provider.down(remove_data=True)
    _tell(session, "removed", "with every run on it")


def _tell(session: Session, state: str, words: str) -> None:
    if session.as_json:
        session.answer({"pod": session.pod.name, "state": state})
    else:
        click.echo(f"{session.pod.name}: {state}; {words}")


@click.group(invoke_without_command=True)
@click.pass_context
def pods(ctx: click.Context) -> None:
    """List the project's pods and what they cost; one whose file is wrong hides no other.

    \b
    Example:
      moola-remote pods
    """
    session: Session = ctx.obj
    if ctx.invoked_subcommand is not None:
        return
    for path in sorted(session.project.pods_folder.glob("*.yaml")):
        fields = _look(session, path.stem)
        if session.as_json:
            session.answer(fields)
        else:
            click.echo("{pod:20} {provider:8} {state:8} {detail}".format(**fields))


@pods.command()
@click.argument("address", metavar="'ssh USER@HOST -p PORT -i KEY'")
@click.option("--name", metavar="NAME", help="Of the new pod; default: its host.")
@click.pass_obj
def add(session: Session, address: str, name: str | None) -> None:
    """Write a pod's file from the ssh command that RunPod's console shows.

    \b
    Example:
      moola-remote pods add 'ssh root@203.0.113.7 -p 36470 -i KEY'
    """
    from moola_remote.sshwords import parse_ssh, pod_text, write_pod

    place = parse_ssh(address)
    path = write_pod(session.project, name or place.host.replace(".", "-"), pod_text(place))
    if session.as_json:
        session.answer({"pod": path.stem, "file": str(path)})
    else:
        click.echo(str(path))
        click.echo(f"next: moola-remote --pod {path.stem} doctor", err=True)


def _look(session: Session, name: str) -> dict[str, str]:
    from moola_remote.config import load_pod
    from moola_remote.providers import provider_for

    try:
        pod = load_pod(session.project, name)
        provider = provider_for(pod)
    except ConfigError as err:
        return {"pod": name, "provider": "-", "state": "wrong", "detail": str(err)}
    told = {"pod": name, "provider": pod.provider}
    try:
        status = provider.status()
    except MoolaError as err:
        return {**told, "state": "unknown", "detail": str(err)}
    idle = (
        f", {_idle_words(session, provider)}" if provider.is_paid and status.state == "up" else ""
    )
    return {**told, "state": status.state, "detail": status.detail + idle}


def _idle_words(session: Session, provider: Provider) -> str:
    """What the pod's own guard says of it, over a connection of its own."""
    from moola_remote.guard import idle_words

    try:
        agent = session.agent_at(provider.endpoint())
        try:
            return idle_words(agent)
        finally:
            agent.transport.close()
    except MoolaError:
        return "can't be asked how long it has been idle"


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("command", metavar="[-- COMMAND ...]", nargs=-1)
@click.pass_obj
def ssh(session: Session, command: tuple[str, ...]) -> None:
    """Open a shell on the pod, or run a command there; its exit code is ours.

    A command goes over the tool's own connection; a shell is OpenSSH's, with the same pinned key.

    \b
    Example:
      moola-remote ssh -- 'nvidia-smi | head'
    """
    from moola_remote.screen import Screen, safe_lines

    if not command:
        _open_shell(session)
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


def _open_shell(session: Session) -> NoReturn:
    """Become OpenSSH's client; the connection made here has checked and pinned the host key."""
    from moola_remote.sshwords import ssh_argv

    _ = session.transport
    argv = ssh_argv(session.endpoint, session.laptop.known_hosts)
    session.close()
    try:
        os.execvp(argv[0], argv)
    except OSError as err:
        raise ConfigError(
            f"ssh: can't be started here, {err.strerror}", "install OpenSSH's client"
        ) from err


def _joined(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


COMMANDS = [up, stop, down, pods, ssh]
