"""Names for the shell's Tab key: pods, runs and recipes that this machine's files know of.

Nothing is connected to, and nothing heavy imported: the answer is there in a tenth of a second. So
the project is looked at without the checks of config.py; what can't be read completes to nothing.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem
# Others can mean something to a shell; whoever has such a name types it.
PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
Complete = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]


class Place(NamedTuple):
    """Where the names of a project lie; the defaults are those of `config.Project`."""

    folder: Path
    table: dict[str, Any]

    @classmethod
    def here(cls) -> Place:
        """Return the project that the current folder lies in."""
        if sys.version_info >= (3, 11):
            import tomllib
        else:
            import tomli as tomllib

        folder = Path.cwd()
        for above in (folder, *folder.parents):
            path, own = above / "pyproject.toml", above / "moola-remote.toml"
            if path.is_file():
                tools = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {})
                if "moola-remote" in tools:
                    return cls(above, tools["moola-remote"])
            if own.is_file():
                return cls(above, tomllib.loads(own.read_text(encoding="utf-8")))
        return cls(folder, {})

    def pods(self) -> list[str]:
        """Return the pods' files."""
        files = (self.folder / "configs" / "pods").glob("*.yaml")
        return sorted({"local", *(path.stem for path in files)})

    def recipes(self) -> list[str]:
        """Return the recipes' files."""
        folder = self.folder / self.table.get("recipes", "configs/train")
        return sorted(path.stem for path in folder.glob("*.yaml"))

    def sweeps(self) -> list[str]:
        """Return the sweeps that are here, newest first."""
        folder = self.folder / self.table.get("results", "results") / "sweeps"
        return sorted((path.parent.name for path in folder.glob("*/sweep.json")), reverse=True)

    def fetched(self) -> list[str]:
        """Return the runs that are here, with a result or without, newest first."""
        folder = self.folder / self.table.get("results", "results")
        files = (*folder.glob("*/result.json"), *folder.glob("*/spec.json"))
        return sorted({path.parent.name for path in files}, reverse=True)

    def known(self, pod: str | None) -> list[str]:
        """Return the runs with a journal or results on this laptop; a `pod` of ``*`` means all."""
        from moola_remote.config.paths import LaptopPaths

        folder = LaptopPaths.of_user().journals
        followed = (path.name for path in folder.glob(f"{pod or self.table.get('pod', 'local')}/*"))
        return sorted({*followed, *self.fetched()}, reverse=True)


def completing(names: Callable[[Place, click.Context], list[str]]) -> Complete:
    """Return a click callback that completes to those of `names` that begin with what is typed."""

    def complete(ctx: click.Context, param: click.Parameter, typed: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        del param
        try:
            found = names(Place.here(), ctx)
        except (OSError, ValueError, TypeError, AttributeError):
            return []  # a Tab has no room for an error; the command itself will report it
        begun = [name for name in found if name.startswith(typed) and PLAIN.fullmatch(name)]
        return [CompletionItem(name) for name in begun]

    return complete


def pod_of(ctx: click.Context) -> str | None:
    """Return the pod that a command line names, if it does."""
    pod: str | None = ctx.find_root().params.get("pod")
    return pod


pod_names = completing(lambda place, _: place.pods())
recipe_names = completing(lambda place, _: place.recipes())
run_ids = completing(lambda place, ctx: place.known(pod_of(ctx)))
any_run_ids = completing(lambda place, _: place.known("*"))
fetched_ids = completing(lambda place, _: place.fetched())
