"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path

import click

from moola_remote.cli.names import run_ids


def key_values(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """Each of `values` is ``KEY=VALUE``."""
    for value in values:
        if not value.partition("=")[0] or "=" not in value:
            raise click.BadParameter(f"expected {param.metavar}, got {value!r}", ctx, param)
    return values


def _paths(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, Path]:
    pairs = (value.partition("=") for value in key_values(ctx, param, values))
    return {name: Path(path).expanduser() for name, _, path in pairs}


run_argument = click.argument("run_id", metavar="[RUN]", required=False, shell_complete=run_ids)
data_option = click.option(
    "--data",
    metavar="NAME=PATH",
    multiple=True,
    callback=_paths,
    help="Send PATH as the data NAME, instead of the project's.",
)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Show what would be sent and started, and do nothing."
)
detach_option = click.option("--detach", is_flag=True, help="Start it, print its id, and return.")
gpu_option = click.option(
    "--gpu", type=click.IntRange(min=0), help="Which GPU; default: the first free one."
)
