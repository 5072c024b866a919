"""``doctor``: what stands between you and a run, each with its cure."""

from __future__ import annotations

import click

from moola_remote.session import Session


@click.command()
@click.pass_obj
def doctor(session: Session) -> None:
    """Check this machine, the project and the pod; exit code 1 if something is wrong.

    \b
    Example:
      moola-remote doctor
    """
    from moola_remote.checks import run_checks
    from moola_remote.tables import Row, component_table, show

    findings = run_checks(session)
    if session.as_json:
        for finding in findings:
            session.answer({"name": finding.name, "ok": finding.is_ok, "details": finding.details})
    else:
        rows = [Row("ok" if f.is_ok else "bad", f.name, f.details) for f in findings]
        show(component_table(rows))
    click.get_current_context().exit(0 if all(finding.is_ok for finding in findings) else 1)


COMMANDS = [doctor]
