"""``doctor``: what stands between you and a run, each with its cure."""

from __future__ import annotations

import click

from moola_remote.session import Session


@click.command()
@click.pass_obj
def doctor(session: Session) -> None:
    """Check this machine, the project and the pod; the exit code is that of the first fault.

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
    codes = (finding.exit_code for finding in findings)
    click.get_current_context().exit(next(filter(None, codes), 0))


COMMANDS = [doctor]
