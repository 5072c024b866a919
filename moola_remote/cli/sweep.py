"""``sweep``: many trials of a recipe or a command, on one pod or several."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from moola_remote.cli.app import App
from moola_remote.cli.browser import open_option, open_page
from moola_remote.cli.complete import completing, recipe_names
from moola_remote.cli.group import Group
from moola_remote.cli.options import (
    data_option,
    dry_run_option,
    env_option,
    key_values,
    max_time_option,
    name_option,
    secret_option,
)

if TYPE_CHECKING:
    from moola_remote.sweep.plan import SweepFolder

sweep_ids = completing(lambda place, _: place.sweeps())
sweep_argument = click.argument(
    "sweep_id", metavar="[SWEEP]", required=False, shell_complete=sweep_ids
)


class SweepGroup(Group):
    """A group that takes a command of the user's after ``--``, as ``run`` does."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take what stands after ``--`` as the command."""
        place = args.index("--") if "--" in args else len(args)
        rest = super().parse_args(ctx, args[:place])
        ctx.params["command"] = tuple(args[place + 1 :])
        return rest


def _repeated(name: str, field: str, metavar: str, words: str) -> Callable[..., Any]:
    return click.option(
        name, field, metavar=metavar, multiple=True, callback=key_values, help=words
    )


# What may be asked of a sweep: the fields of `sweep.plan.Plan`.
_OPTIONS = (
    click.option(
        "--recipe",
        metavar="NAME",
        shell_complete=recipe_names,
        help="A file in configs/train; default: the project's.",
    ),
    _repeated(
        "--try",
        "spaces",
        "KEY=SPACE",
        "Draw KEY from a..b, log:a..b or x,y,z; integers if both ends are.",
    ),
    _repeated("--grid", "grid", "KEY=x,y,z", "Try every combination of these instead."),
    click.option("--seeds", metavar="0..9", help="Try each of these seeds instead."),
    click.option(
        "--trials", type=click.IntRange(min=1, max=10_000), help="How many to draw; default: 16."
    ),
    click.option(
        "--goal",
        default="f1",
        metavar="NAME[:min|:max]",
        help="The score to judge by: of the validation windows, or a key of result.json.",
    ),
    click.option(
        "--folds",
        type=click.IntRange(min=2),
        metavar="K",
        help="Judge each trial by cross-validation: every window, by a model that did not see it.",
    ),
    click.option(
        "--repeats",
        type=click.IntRange(min=1),
        default=1,
        help="Repeat --folds so many times, with other folds each time.",
    ),
    click.option(
        "--pack",
        type=click.IntRange(min=1, max=256),
        default=1,
        metavar="K",
        help="Up to K trials a run, one after another in one warm process: for short trials.",
    ),
    click.option(
        "--metric",
        metavar="PATTERN",
        help="Read the goal from the first group of this pattern, in the last line of the log that "
        "matches.",
    ),
    click.option(
        "--early",
        type=click.Choice(["none", "median", "asha"]),
        default="none",
        help="Cancel a trial that does worse than others did at the same epoch.",
    ),
    click.option(
        "--engine",
        type=click.Choice(["pods", "ray"]),
        default="pods",
        help="What assigns trials to pods: this machine, or Ray Tune on a cluster of them.",
    ),
    click.option(
        "--address",
        metavar="HOST:PORT",
        help="With --engine ray: the address of a running cluster; the pod is one of its machines.",
    ),
    click.option(
        "--pods",
        metavar="N|NAME,NAME",
        help="N pods of the pod's file, or these by name; default: one.",
    ),
    click.option(
        "--set",
        "settings",
        metavar="KEY=VALUE",
        multiple=True,
        callback=key_values,
        help="Change one key of the recipe in every trial.",
    ),
    click.option(
        "--max-cost",
        "max_cost_usd",
        type=click.FloatRange(min=0, min_open=True),
        metavar="USD",
        help="Start no trial that would cost more than is left, all pods together; a rented pod "
        "stops itself when its share is spent.",
    ),
    click.option(
        "--then",
        type=click.Choice(["stop", "down"]),
        help="When a pod has nothing left to do and everything is fetched: stop or remove it.",
    ),
    *(name_option, data_option, env_option, secret_option, max_time_option, dry_run_option),
)


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group(
    cls=SweepGroup, invoke_without_command=True, subcommand_metavar="[-- COMMAND ... | COMMAND]"
)
@_options
@click.pass_context
def sweep(ctx: click.Context, /, dry_run: bool, command: tuple[str, ...], **asked: Any) -> None:
    """Try many settings of a recipe, or of a command, on one pod or several; each is a run.

    Optuna draws values for --try; --grid and --seeds try every combination. In a command, {KEY}
    stands for the value. Ctrl-C leaves the started runs running; `sweep resume` continues.

    Exit codes: 0 all trials ended, 14 a limit ended it, 20 most failed, 11 no pod was left.

    \b
    Example:
      moola-remote sweep --recipe jade --trials 16 --try training.learning_rate=log:3e-4..1e-2
      moola-remote sweep --goal loss:min --try lr=log:1e-4..1e-1 -- python train.py --lr {lr}
    """
    if ctx.invoked_subcommand is not None:
        if command:
            raise click.UsageError(f"sweep {ctx.invoked_subcommand} takes no command")
        return
    from moola_remote.cli.sweep_actions import start_sweep
    from moola_remote.cli.sweep_plan import make_sweep_plan, print_dry_run

    app: App = ctx.obj
    secrets = asked.pop("secrets")
    plan = make_sweep_plan(app, command, asked, sorted(secrets))
    if dry_run:
        print_dry_run(app, plan)
    else:
        start_sweep(app, plan, secrets)


@sweep.command()
@sweep_argument
@click.pass_obj
def show(app: App, sweep_id: str | None) -> None:
    """Print the trials of a sweep, the best first; the latest by default. Asks no pod.

    \b
    Example:
      moola-remote sweep show
    """
    from moola_remote.cli.sweep_actions import print_sweep

    print_sweep(app, _found(app, sweep_id))


@sweep.command()
@sweep_argument
@secret_option
@click.pass_obj
def resume(app: App, sweep_id: str | None, secrets: dict[str, str]) -> None:
    """Resume a sweep after Ctrl-C, a crash, an unreachable pod or `sweep cancel`.

    The state of each trial is that of its run: an active one is followed, one that ended is
    fetched, one that was never started is started, one that was cancelled with the sweep is
    begun again. Nothing is done twice.

    \b
    Example:
      moola-remote sweep resume
    """
    from moola_remote.cli.sweep_actions import resume_sweep

    resume_sweep(app, _found(app, sweep_id), secrets)


@sweep.command()
@sweep_argument
@click.pass_obj
def cancel(app: App, sweep_id: str | None) -> None:
    """Start no further trial of a sweep, and cancel its active runs.

    \b
    Example:
      moola-remote sweep cancel
    """
    from moola_remote.cli.sweep_actions import cancel_sweep

    cancel_sweep(app, _found(app, sweep_id))


@sweep.command()
@sweep_argument
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write here, not to results/sweeps/SWEEP.",
)
@open_option
@click.pass_obj
def report(app: App, sweep_id: str | None, out: Path | None, is_opening: bool) -> None:
    """Write a sweep's page: settings against the goal, the best so far, learning curves.

    It says which trials differ clearly from the best, by a paired bootstrap on shared windows.

    \b
    Example:
      moola-remote sweep report --open
    """
    from moola_remote.cli.sweep_actions import write_report

    folder = _found(app, sweep_id)
    page = write_report(app, folder, out)
    if app.as_json:
        app.answer({"sweep": folder.sweep_id, "report": str(page)})
    else:
        click.echo(str(page))
    if is_opening:
        open_page(page)


def _found(app: App, sweep_id: str | None) -> SweepFolder:
    from moola_remote.sweep.plan import find_sweep

    folder = find_sweep(app.project, sweep_id)
    if sweep_id is None:
        click.echo(f"latest sweep: {folder.sweep_id}", err=True)
    return folder


COMMANDS = [sweep]
