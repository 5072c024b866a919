"""``up``, ``stop``, ``down``, ``pods``, ``ssh``: the machine itself."""

from __future__ import annotations

import sys

import click

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
    if session.as_json:
        session.answer(
            {
                "pod": endpoint.name,
                "host": endpoint.host,
                "port": endpoint.port,
                "user": endpoint.user,
            }
        )
    else:
        click.echo(f"{endpoint.name}: up at {endpoint.user}@{endpoint.host} port {endpoint.port}")


@click.command()
@click.pass_obj
def stop(session: Session) -> None:
    """Stop the pod; what is on it stays, and so do jobs of the local pod.

    \b
    Example:
      moola-remote stop
    """
    session.provider.stop()
    click.echo(f"{session.pod.name}: stopped")


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def down(session: Session, yes: bool) -> None:
    """Remove the pod and everything on it.

    \b
    Example:
      moola-remote down --yes
    """
    if not yes:
        click.confirm(f"Remove {session.pod.name} and every run on it?", abort=True, err=True)
    session.provider.down(remove_data=True)
    click.echo(f"{session.pod.name}: removed")


@click.command()
@click.pass_obj
def pods(session: Session) -> None:
    """List the project's pods.

    \b
    Example:
      moola-remote pods
    """
    from moola_remote.config import load_pod
    from moola_remote.providers import provider_for

    for path in sorted(session.project.pods_folder.glob("*.yaml")):
        pod = load_pod(session.project, path.stem)
        status = provider_for(pod).status()
        if session.as_json:
            session.answer(
                {
                    "pod": pod.name,
                    "provider": pod.provider,
                    "state": status.state,
                    "detail": status.detail,
                }
            )
        else:
            click.echo(f"{pod.name:20} {pod.provider:8} {status.state:8} {status.detail}")


@click.command()
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def ssh(session: Session, command: tuple[str, ...]) -> None:
    """Run a command on the pod over the tool's own connection, its host key checked.

    \b
    Example:
      moola-remote ssh -- nvidia-smi
    """
    import shlex

    done = session.transport.run(["sh", "-c", shlex.join(command)] if command else ["uname", "-a"])
    sys.stdout.buffer.write(done.stdout)
    sys.stderr.buffer.write(done.stderr)
    click.get_current_context().exit(done.returncode)


COMMANDS = [up, stop, down, pods, ssh]
