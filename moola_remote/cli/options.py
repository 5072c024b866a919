"""Options that several commands have."""

from __future__ import annotations

import math
import os
import re
import sys
import time
from datetime import datetime
from pathlib import Path

import click

from moola_remote.cli.app import App
from moola_remote.cli.complete import run_ids

EMPTY_WORD = "an empty word is no command: name a program after --"
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def key_values(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """Check that each of `values` is ``KEY=VALUE``."""
    for value in values:
        if not value.partition("=")[0] or "=" not in value:
            raise click.BadParameter(f"expected {param.metavar}, got {value!r}", ctx, param)
    return values


def _paths(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, Path]:
    pairs = [value.partition("=") for value in key_values(ctx, param, values)]
    for name, _, path in pairs:
        if not path or "/" in name or name in (".", ".."):
            expected = f"expected {param.metavar}, NAME one folder, got {f'{name}={path}'!r}"
            raise click.BadParameter(expected, ctx, param)
    return {name: Path(path).expanduser() for name, _, path in pairs}


def moment(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Return the Unix time that ``10m`` or ``2026-11-22T15:30`` means, by this clock."""
    if value is None:
        return None
    ago = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", value)
    if ago:
        return time.time() - float(ago[1]) * SECONDS[ago[2]]
    try:
        return datetime.fromisoformat(value).astimezone().timestamp()
    except (ValueError, OverflowError) as err:
        expected = f"expected 90s, 10m, 2h, 1d or 2026-11-22T15:30, got {value!r}"
        raise click.BadParameter(expected, ctx, param) from err


def _secrets(ctx: click.Context, param: click.Parameter, names: tuple[str, ...]) -> dict[str, str]:
    if ctx.resilient_parsing:  # no question at a Tab key
        return {}
    return {name: _secret(ctx, param, name) for name in names}


def _secret(ctx: click.Context, param: click.Parameter, name: str) -> str:
    """Return a secret's value, from the environment or a prompt; no error shows it."""
    from moola_remote.text.redact import SHORTEST, remember

    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise click.BadParameter(
            "expected the NAME of an environment variable; its value never stands here", ctx, param
        )
    value = os.environ.get(name)
    if value is None and sys.stdin.isatty():
        value = str(click.prompt(f"Value of {name}", hide_input=True, err=True))
    if value is None:
        raise click.BadParameter(
            f"{name} is not set, and there is no terminal to ask at", ctx, param
        )
    if len(value) < SHORTEST:
        raise click.BadParameter(
            f"{name} is too short to be kept out of logs, expected {SHORTEST} characters",
            ctx,
            param,
        )
    remember(value)
    return value


secret_option = click.option(
    "--secret",
    "secrets",
    metavar="NAME",
    multiple=True,
    callback=_secrets,
    help="Give the job this variable of yours (asked for if unset); masked in its log, then wiped.",
)


def _name(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Return a word for a run's id."""
    from moola_remote.protocol.label import slug

    if value is not None and not slug(value):
        raise click.BadParameter(f"expected letters or digits, got {value!r}", ctx, param)
    return value if value is None else slug(value)


name_option = click.option(
    "--name",
    metavar="NAME",
    callback=_name,
    help="The word in the run's id, such as warm-start; default: its script and options.",
)


def _variables(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    return {} if ctx.resilient_parsing else dict(_variable(ctx, param, one) for one in values)


def _variable(ctx: click.Context, param: click.Parameter, text: str) -> tuple[str, str]:
    """Return a name with its value: given, or this shell's."""
    name, equals, value = text.partition("=")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or "\0" in value:
        raise click.BadParameter(f"expected NAME or NAME=VALUE, got {text!r}", ctx, param)
    if name.startswith("MOOLA_"):
        raise click.BadParameter(f"{name} is set by moola-remote, take another name", ctx, param)
    if not equals:
        found = os.environ.get(name)
        if found is None:
            raise click.BadParameter(f"{name} is not set here, give it as {name}=VALUE", ctx, param)
        value = found
    return name, value


env_option = click.option(
    "--env",
    metavar="NAME[=VALUE]",
    multiple=True,
    callback=_variables,
    help="Set a variable of the job, such as WANDB_MODE=offline; without =VALUE, to your own. "
    "It is recorded with the run: use --secret for a password.",
)


def _seconds(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Seconds of ``90m``, ``1h30m`` or ``45s``."""
    if value is None:
        return None
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", value)
    hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    if hours + minutes + seconds == 0:
        raise click.BadParameter(f"expected for example 90m or 1h30m, got {value!r}", ctx, param)
    return 3600.0 * hours + 60.0 * minutes + seconds


def _idle_stop(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Kept by the app: every command that may rent has it."""
    if value is not None and isinstance(ctx.obj, App):
        seconds = None if value == "never" else _seconds(ctx, param, value)
        ctx.obj.idle_stop_s = math.inf if seconds is None else seconds


idle_stop_option = click.option(
    "--idle-stop",
    metavar="TIME",
    callback=_idle_stop,
    expose_value=False,
    help="How long a rented pod may be without work before it stops itself; default: the pod "
    "file's value, or `never`.",
)
max_time_option = click.option(
    "--max-time",
    "max_time_s",
    metavar="TIME",
    callback=_seconds,
    help="Time limit, such as 1h30m: the run ends with a last checkpoint; enforced on the pod.",
)
max_cost_option = click.option(
    "--max-cost",
    "max_cost_usd",
    type=click.FloatRange(min=0, min_open=True),
    metavar="USD",
    help="Cost limit: the run ends with a last checkpoint; enforced on the pod.",
)
retry_option = click.option(
    "--retry",
    type=click.IntRange(min=0, max=100),
    default=0,
    metavar="N",
    help="Up to N times, if the pod is preempted or lost: resume from the last checkpoint, "
    "or start from scratch if there is none.",
)
run_argument = click.argument("run_id", metavar="[RUN]", required=False, shell_complete=run_ids)
data_option = click.option(
    "--data",
    metavar="NAME=PATH",
    multiple=True,
    callback=_paths,
    help="Send PATH as the data NAME, instead of the project's.",
)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Show what would be done, and do nothing."
)
detach_option = click.option("--detach", is_flag=True, help="Start it, print its id, and return.")
on_finish_option = click.option(
    "--on-finish",
    metavar="COMMAND",
    help="Run on this machine once the run has ended, with MOOLA_RUN_ID and MOOLA_STATE; even if "
    "you come back later.",
)
on_finish_pod_option = click.option(
    "--on-finish-pod", metavar="COMMAND", help="Run on the pod once the run has ended."
)
gpu_option = click.option(
    "--gpu", type=click.IntRange(min=0), help="Which GPU; default: the first free one."
)
gpus_option = click.option(
    "--gpus",
    type=click.IntRange(min=1, max=64),
    metavar="N",
    help="Wait until N GPUs are free, then take all of them; CUDA_VISIBLE_DEVICES names them. "
    "`train` shares a pre-training among them.",
)
