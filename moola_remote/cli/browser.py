"""``--open``: show a page that was written."""

from __future__ import annotations

from pathlib import Path

import click

open_option = click.option("--open", "is_opening", is_flag=True, help="Show it in the browser.")


def open_page(path: Path) -> None:
    """Show `path` in the user's browser; where there is none, that is said."""
    import webbrowser

    if not webbrowser.open(path.resolve().as_uri()):
        click.echo(f"no browser was found; open it yourself: {path}", err=True)
