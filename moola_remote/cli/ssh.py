"""``ssh``: a shell or a command on the pod."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from moola_remote.cli.app import App
from moola_remote.errors import ConfigError


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("command", metavar="[-- COMMAND ...]", nargs=-1)
@click.pass_obj
def ssh(app: App, command: tuple[str, ...]) -> None:
    """Open a shell on the pod, or run a command there; its exit code is returned.

    A command uses the tool's own connection; a shell is opened by OpenSSH, with the same pinned
    host key.

    \b
    Example:
      moola-remote ssh -- 'nvidia-smi | head'
    """
    from moola_remote.text.sanitize import Screen, safe_lines

    if not command:
        _open_shell(app)
    channel = app.pod.transport.open(["sh", "-c", " ".join(command)])
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


def _open_shell(app: App) -> NoReturn:
    """Become OpenSSH's client; the connection made here has checked and pinned the host key."""
    from moola_remote.ssh.command_line import ssh_argv

    _ = app.pod.transport
    argv = ssh_argv(app.pod.endpoint, app.laptop.known_hosts)
    app.pod.close()
    try:
        os.execvp(argv[0], argv)
    except OSError as err:
        raise ConfigError(
            f"ssh: can't be started here, {err.strerror}", "install OpenSSH's client"
        ) from err


def _joined(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
