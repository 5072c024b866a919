"""``predict``: a model over many series of bars, on one pod or several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from moola_remote.cli.app import App
from moola_remote.cli.complete import fetched_ids
from moola_remote.errors import ConfigError, JobFailedError

if TYPE_CHECKING:
    from moola_remote.deploy.declared import Dependencies
    from moola_remote.deploy.deploy import Deployed
    from moola_remote.deploy.snapshot import Tree
    from moola_remote.predict.tasks import Series


@click.command()
@click.option(
    "--run",
    "run_id",
    metavar="RUN",
    shell_complete=fetched_ids,
    help="A fetched run with a model; default: the latest one.",
)
@click.option(
    "--bars",
    "patterns",
    metavar="PATTERN",
    multiple=True,
    required=True,
    help="The series, one file each, as a glob pattern.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="FOLDER",
    help="For the spans, one file per series, and index.json.",
)
@click.option("--pods", metavar="N|NAME,NAME", help="N pods of the pod's file, or these by name.")
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes per pod; default: one per CPU.",
)
@click.option(
    "--stride",
    type=click.IntRange(min=1),
    help="Bars from window to window; default: a third of a window.",
)
@click.option(
    "--min-confidence", type=click.FloatRange(0, 1), help="Leave out spans with a lower confidence."
)
@click.pass_obj
def predict(
    app: App,
    run_id: str | None,
    patterns: tuple[str, ...],
    out: Path,
    pods: str | None,
    processes: int | None,
    stride: int | None,
    min_confidence: float | None,
) -> None:
    """Find spans in many series, one file each, spread over processes and pods.

    A file whose spans already exist (by the hashes of bars, model and spans) is skipped; one that
    was lost is done again. After a crash, the same command resumes the runs that it had started.

    \b
    Example:
      moola-remote predict --run 20261122-1530 --bars 'bars/*.parquet' --out spans --pods 2
    """
    from moola_remote.cli.sweep_plan import pods_of
    from moola_remote.deploy.deploy import read_code
    from moola_remote.deploy.snapshot import data_tree
    from moola_remote.predict.spread import Spread
    from moola_remote.predict.tasks import (
        Work,
        find_series,
        read_index,
        require_other_folder,
        results_in,
        to_do,
    )

    artifacts = _artifacts(app.project.results_folder, run_id)
    job = app.project.folder / "jobs" / "predict_files.py"
    if not job.is_file():
        raise ConfigError(f"{job}: no such file; the project has no job that predicts")
    options: list[str] = [] if stride is None else ["--stride", str(stride)]
    options += [] if min_confidence is None else ["--min-confidence", f"{min_confidence:g}"]
    work = Work(data_tree({"model": artifacts}).digest, tuple(options))
    series = find_series(patterns, app.laptop.hash_cache)
    require_other_folder(out, series)
    out.mkdir(parents=True, exist_ok=True)
    left = to_do(series, read_index(out), work, out)
    click.echo(f"{len(series)} series, {len(series) - len(left)} already done", err=True)
    names = pods_of(app, pods)
    lost: list[Series] = []
    if left:
        # Before anything is written to `out`, which may lie in the project.
        sent = read_code(app.project, without=results_in(app.project.folder, out, series))
        for name in names:
            _bring_up(app, name)
        spread = Spread(
            series,
            work,
            out,
            names,
            lambda name, share: _deploy(app, name, sent, artifacts, share),
            lambda text: click.echo(text, err=True),
            processes,
        )
        lost = spread.work_off()
    reasons = read_index(out).failed
    failed = {one.name: reasons.get(one.name, "lost") for one in lost}
    if app.as_json:
        app.answer({"out": str(out), "series": len(series), "failed": failed})
    else:
        click.echo(str(out))
    for one in lost:
        click.echo(f"not done, {one.given}: {failed[one.name]}", err=True)
    if failed:
        raise JobFailedError(
            f"{len(failed)} of {len(series)} series are not done",
            "run it again: finished ones are kept",
        )


def _artifacts(results: Path, run_id: str | None) -> Path:
    """Return the folder of a fetched model; where none is named, of the latest, named on stderr.

    Raises:
        ConfigError: there is none.
    """
    from moola_remote.report.library import choose_folder

    if run_id is None:
        models = sorted(results.glob("[!.]*/artifacts/model.json"))
        if not models:
            raise ConfigError(
                f"{results}: no fetched run with a model", "moola-remote fetch results"
            )
        click.echo(f"latest model: {models[-1].parents[1].name}", err=True)
        return models[-1].parent
    artifacts = choose_folder(results, run_id) / "artifacts"
    if not (artifacts / "model.json").is_file():
        raise ConfigError(f"{artifacts}: no model, expected model.json", "name another --run")
    return artifacts


def _bring_up(app: App, name: str) -> None:
    """Have a rented pod up; here, as Ctrl-C asks whether to keep it."""
    with app.for_pod(name) as one:
        if one.pod.provider.is_paid:
            one.bring_up()


def _deploy(
    app: App, name: str, sent: tuple[Tree, Dependencies], artifacts: Path, share: Sequence[Series]
) -> Deployed:
    """Have the code, the model and these series on a pod."""
    from moola_remote.deploy.deploy import Plan, deploy
    from moola_remote.deploy.snapshot import data_tree
    from moola_remote.predict.spread import MODEL
    from moola_remote.sweep.runner import Quiet

    class Watcher(Quiet):
        """An installation takes minutes; each of its lines is shown."""

        def say(self, line: str) -> None:
            click.echo(f"pod {name}: {line}", err=True)

    bars = {f"bars{number:04}": one.path for number, one in enumerate(share)}
    data = data_tree({MODEL: artifacts, **bars}, cache=app.laptop.hash_cache)
    code, needs = sent
    with app.for_pod(name) as one:
        return deploy(one.pod, Plan(code, data, needs), Watcher())


COMMANDS = [predict]
