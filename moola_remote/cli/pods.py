"""``up``, ``stop``, ``down``, ``pods``, ``ssh``: the machine itself."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from moola_remote.cli.app import App
from moola_remote.cli.group import Group
from moola_remote.cli.options import idle_stop_option
from moola_remote.cli.safety import ask, force_option, require_verified_copies, yes_option
from moola_remote.cli.ssh import ssh
from moola_remote.errors import ConfigError, LimitError, MoolaError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moola_remote.providers.base import Provider

# In the table; `--json` keeps the value that scripts know.
SHOWN_STATES = {"foreign": "external"}


@click.command()
@idle_stop_option
@click.pass_obj
def up(app: App) -> None:
    """Create or start the pod and print its address; a rented one is billed from then on.

    The price and each candidate are printed to stderr. A rented pod that isn't ready in time is
    removed again, or stopped where it had been stopped; Ctrl-C asks whether to keep it.

    \b
    Example:
      moola-remote up
    """
    from moola_remote.doctor.checks import check_data

    try:
        check_data(app.pod)
    except ConfigError as err:  # a run may choose other data
        click.echo(f"note: {err}", err=True)
    app.bring_up()
    endpoint = app.pod.endpoint
    place = {"host": endpoint.host, "port": endpoint.port, "user": endpoint.user}
    if app.as_json:
        app.answer({"pod": endpoint.name, **place})
    else:
        click.echo(f"{endpoint.name}: up at {endpoint.user}@{endpoint.host} port {endpoint.port}")


@click.command()
@force_option
@click.pass_obj
def stop(app: App, force: bool) -> None:
    """Stop the pod; refused while a run is active, or while anything on it has no copy here.

    \b
    Example:
      moola-remote stop
    """
    if not force and app.pod.provider.status().state == "up":
        require_verified_copies(app, "stop")
    app.pod.close()
    app.pod.provider.stop()
    _print_state(app, "stopped", f"its files stay; {app.pod.command} up starts it again")


@click.command()
@yes_option
@force_option
@click.pass_obj
def down(app: App, yes: bool, force: bool) -> None:
    """Remove the pod and everything on it.

    Refused while a run is active, or while anything on it has no verified copy here.

    \b
    Example:
      moola-remote down
    """
    state = app.pod.provider.status().state
    if state == "absent":
        _print_state(app, "absent", "there was nothing to remove")
        return
    if state == "stopped" and not force and app.pod.config.provider != "local":
        raise LimitError(
            f"pod {app.pod.name}: stopped, so what is on it can't be checked",
            f"{app.pod.command} up, then fetch; or {app.pod.command} down --force",
        )
    if state != "foreign":
        if not force:
            require_verified_copies(app, "down")
        if not yes:
            ask(f"Remove pod {app.pod.name} and everything on it?")
    app.pod.close()
    app.pod.provider.down(remove_data=True)
    _print_state(app, "removed", "with every run on it")


def _print_state(app: App, state: str, words: str) -> None:
    if app.as_json:
        app.answer({"pod": app.pod.name, "state": state})
    else:
        click.echo(f"{app.pod.name}: {state}; {words}")


@click.group(cls=Group, invoke_without_command=True)
@click.pass_context
def pods(ctx: click.Context) -> None:
    """List the project's pods and what they cost; an invalid file does not hide the others.

    \b
    Example:
      moola-remote pods
    """
    app: App = ctx.obj
    if ctx.invoked_subcommand is not None:
        return
    from moola_remote.config.settings import pod_names

    files = {path.stem for path in app.project.pods_folder.glob("*.yaml")}
    always = {*files, app.project.pod}
    for name in [*pod_names(app.project), *_numbered(app)]:
        fields = _look(app, name)
        if name not in always and fields["state"] == "absent":
            continue
        if app.as_json:
            app.answer(fields)
        else:
            shown = {**fields, "state": SHOWN_STATES.get(fields["state"], fields["state"])}
            click.echo("{pod:20} {provider:8} {state:8} {detail}".format(**shown))


class _Unquoted(click.Command):
    """A command whose argument may be an ssh command line without quotes around it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Make one word of all from ``ssh`` on, except for `--name` and its value."""
        if "ssh" in args:
            start = args.index("ssh")
            ours, line = args[:start], args[start:]
            for index, word in enumerate(line):
                if word == "--name" or word.startswith("--name="):
                    end = index + (2 if word == "--name" else 1)
                    ours, line = [*ours, *line[index:end]], [*line[:index], *line[end:]]
                    break
            args = [*ours, shlex.join(line)]
        return super().parse_args(ctx, args)


@pods.command(cls=_Unquoted)
@click.argument("address", metavar="'ssh USER@HOST -p PORT -i KEY'", required=False)
@click.option("--name", metavar="NAME", help="Name of the new pod; default: its host.")
@click.option("--runpod", "is_runpod", is_flag=True, help="One that `up` rents from RunPod.")
@click.pass_obj
def add(app: App, address: str | None, name: str | None, is_runpod: bool) -> None:
    """Write a pod's file from an ssh command line, such as a rental console shows.

    With --runpod it is a file to rent by, an RTX 4090 unless you change it: GPUs, price ceiling,
    image, disks and idle time have a comment each.

    An alias of ~/.ssh/config, ssh://USER@HOST:PORT and [IPV6]:PORT are understood too, and the
    quotes may be left out. What the command leaves open is taken from ~/.ssh/config; what has no
    place in the file is named.

    \b
    Example:
      moola-remote pods add 'ssh root@203.0.113.7 -p 36470 -i KEY'
      moola-remote pods add --runpod
    """
    from moola_remote.providers.runpod.template import TEMPLATE
    from moola_remote.ssh.command_line import parse_ssh, pod_name, pod_text, write_pod

    if is_runpod == (address is not None):
        raise click.UsageError("Expected an ssh command line, or --runpod.")
    left_out: Sequence[str] = ()
    if address is None:
        path = write_pod(app.project, name or TEMPLATE.stem, TEMPLATE.read_text(encoding="utf-8"))
    else:
        target = parse_ssh(address)
        path = write_pod(app.project, name or pod_name(target.host), pod_text(target))
        left_out = target.left_out
    if app.as_json:
        app.answer({"pod": path.stem, "file": str(path), "left_out": list(left_out)})
    else:
        click.echo(str(path))
        for words in left_out:
            click.echo(f"left out: {words}", err=True)
        click.echo(f"next: moola-remote --pod {path.stem} doctor", err=True)


def _numbered(app: App) -> list[str]:
    """Return the second pods and more of a file that this laptop knows."""
    from moola_remote.config.settings import LOCAL, base_of
    from moola_remote.sweep.money import metered_pods

    known = set(metered_pods(app.project.results_folder / "sweeps"))
    folders = app.laptop.local_pod.parent.glob(f"{app.laptop.local_pod.name}.*")
    known |= {f"{LOCAL}{path.suffix}" for path in folders}
    return sorted(name for name in known if base_of(name) != name)


def _look(app: App, name: str) -> dict[str, str]:
    from moola_remote.config.settings import load_pod
    from moola_remote.providers import provider_for

    try:
        pod = load_pod(app.project, name)
        provider = provider_for(pod)
    except ConfigError as err:
        return {"pod": name, "provider": "-", "state": "wrong", "detail": str(err)}
    fields = {"pod": name, "provider": pod.provider}
    try:
        status = provider.status()
    except MoolaError as err:
        return {**fields, "state": "unknown", "detail": str(err)}
    idle = f", {_idle_words(app, provider)}" if provider.is_paid and status.state == "up" else ""
    return {**fields, "state": status.state, "detail": status.detail + idle}


def _idle_words(app: App, provider: Provider) -> str:
    """Return what the pod's own guard says of it, over a connection of its own."""
    from moola_remote.pods.watchdog import idle_words

    try:
        agent = app.pod.agent_at(provider.endpoint())
        try:
            return idle_words(agent)
        finally:
            agent.transport.close()
    except MoolaError:
        return "can't be asked how long it has been idle"


COMMANDS = [up, stop, down, pods, ssh]
