"""``doctor``: what stands between you and a run, each with its cure."""

from __future__ import annotations

from functools import partial

import click

from moola_remote.cli.app import App
from moola_remote.cli.safety import ask
from moola_remote.errors import ConfigError


@click.command()
@click.option(
    "--live",
    is_flag=True,
    help="Rent the cheapest pod, check each assumption, remove it.",
)
@click.option("--yes", is_flag=True, help="Do not ask before renting.")
@click.pass_obj
def doctor(app: App, live: bool, yes: bool) -> None:
    """Check this machine, the project and the pod; each problem has its fix, and exit code 1.

    \b
    Example:
      moola-remote doctor
    """
    from moola_remote.doctor.checks import run_checks
    from moola_remote.ui.tables import Row, component_table, show

    if live:
        _try_live(app, is_asking=not yes)
        return
    findings = run_checks(app.pod)
    if app.as_json:
        for finding in findings:
            app.answer({"name": finding.name, "ok": finding.is_ok, "details": finding.details})
    else:
        rows = [Row("ok" if f.is_ok else "bad", f.name, f.details) for f in findings]
        show(component_table(rows))
    click.get_current_context().exit(0 if all(finding.is_ok for finding in findings) else 1)


def _try_live(app: App, *, is_asking: bool) -> None:
    """Every assumption about RunPod, tried on a pod of its own."""
    from dataclasses import asdict

    from moola_remote.doctor.checks import check_before_renting
    from moola_remote.doctor.runpod_live import Live
    from moola_remote.providers.runpod.provider import RunpodProvider
    from moola_remote.ui.tables import Row, component_table, show

    provider = app.pod.provider
    if not isinstance(provider, RunpodProvider):
        raise ConfigError(
            f"doctor --live: pod {app.pod.name} is not a rented pod, expected provider: runpod",
            "choose with --pod, for example --pod runpod-4090",
        )
    question = (
        "Rent the cheapest GPU for some minutes, some cents (at most "
        f"${provider.wanted.max_price:.2f}/h), and remove it?"
    )
    if is_asking:
        ask(question)
    check_before_renting(app.pod)
    say = partial(click.echo, err=True)
    tried = Live(provider, app.pod.agent_at, say=say).run()
    if app.as_json:
        for one in tried:
            app.answer(asdict(one))
    else:
        rows = [Row("ok" if one.holds else "bad", one.name, one.seen) for one in tried]
        show(component_table(rows))
    click.get_current_context().exit(0 if all(one.holds for one in tried) else 1)


COMMANDS = [doctor]
