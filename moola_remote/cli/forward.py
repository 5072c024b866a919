"""``forward`` and ``ssh-config``: a pod's ports, and the pod for programs of one's own."""

from __future__ import annotations

import contextlib
import re
import time

import click

from moola_remote.cli.app import App

LOOPBACK = "127.0.0.1"
MAX_PORT = 65535


def _places(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> list[tuple[int, str, int]]:
    return [_place(ctx, param, value) for value in values]


def _place(ctx: click.Context, param: click.Parameter, text: str) -> tuple[int, str, int]:
    """``PORT``, ``HERE:PORT`` or ``HERE:HOST:PORT``: the port here, the host and port there."""
    found = re.fullmatch(r"(?:(\d+):)?(?:([A-Za-z0-9.-]+|\[[0-9a-fA-F:.]+\]):)?(\d+)", text)
    ports = [int(one) for one in (found[1] or found[3], found[3])] if found else [0]
    if found is None or not all(0 < port <= MAX_PORT for port in ports):
        raise click.BadParameter(
            f"expected a port such as 6006, or 8888:6006, got {text!r}", ctx, param
        )
    return ports[0], (found[2] or "localhost").strip("[]"), ports[1]


@click.command()
@click.argument("ports", metavar="[HERE:]PORT ...", nargs=-1, required=True, callback=_places)
@click.pass_obj
def forward(app: App, ports: list[tuple[int, str, int]]) -> None:
    """Forward ports of the pod to this machine until Ctrl-C: TensorBoard, notebooks.

    The pod's PORT becomes 127.0.0.1:PORT here, or 127.0.0.1:HERE. With HERE:HOST:PORT it is a port
    of HOST, a machine that the pod can reach. A connection that is lost is made again.

    \b
    Example:
      moola-remote forward 6006
    """
    _ = app.pod.transport  # who is not reached at all is reported at once
    with contextlib.suppress(KeyboardInterrupt):
        app.persist(lambda: _forward(app, ports))


def _forward(app: App, ports: list[tuple[int, str, int]]) -> None:
    """Forward ports until the connection is lost."""
    transport = app.pod.transport
    with contextlib.ExitStack() as stack:
        for here, host, there in ports:
            port = stack.enter_context(transport.forward((host, there), port=here, say=_note))
            click.echo(f"http://{LOOPBACK}:{port} is {host}:{there} on {app.pod.name}")
        click.echo("Ctrl-C ends it", err=True)
        while True:
            time.sleep(0.5)
            transport.check()


def _note(line: str) -> None:
    click.echo(f"note: {line}", err=True)


@click.command("ssh-config")
@click.pass_obj
def ssh_config(app: App) -> None:
    """Print a Host block for ~/.ssh/config, so that ssh, rsync and editors reach the pod by name.

    Its host key is the pinned one, its port the current one: print it again after a rented pod was
    stopped and started.

    \b
    Example:
      moola-remote ssh-config
    """
    from moola_remote.ssh.host_block import host_block

    _ = app.pod.transport  # checks the host key, and pins it
    click.echo(host_block(app.pod.endpoint, app.laptop.known_hosts), nl=False)


COMMANDS = [forward, ssh_config]
