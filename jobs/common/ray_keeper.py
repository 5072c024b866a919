"""What the trials of a Ray cluster have written, kept on the driver's node; without Ray itself."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from moola_core.io.json_file import write_json

PARAMS = "params.json"
Files = dict[str, bytes]


class Keeper:
    """Keeps what trials have written, in ``trials/NUMBER`` of the driver's run."""

    def __init__(self, run_dir: str, first: int) -> None:
        self._run_dir, self._first = Path(run_dir), first
        self._begun: dict[str, list[str]] = {}

    def begin(self, trial_id: str, params: dict[str, Any], node: str) -> tuple[int, Files]:
        """Note that a trial begins on a node; return its number, and what it had written."""
        nodes = self._begun.setdefault(trial_id, [])
        nodes.append(node)
        number = self._first + list(self._begun).index(trial_id)
        folder = self._folder(number)
        folder.mkdir(parents=True, exist_ok=True)
        written = [path for path in files_of(folder) if path != folder / PARAMS]  # by the trial
        files = {str(path.relative_to(folder)): path.read_bytes() for path in written}
        write_json(folder / PARAMS, {"params": params, "nodes": nodes})
        if len(nodes) > 1:
            print(f"trial {number}: begun again on {node}", flush=True)
        return number, files

    def put(self, number: int, names: list[str], changed: Files) -> None:
        """Take what has changed of a trial's files; drop what is not among `names` any more."""
        folder = self._folder(number)
        for name, content in changed.items():
            if name == PARAMS:
                continue
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        known = {*names, PARAMS}
        for path in files_of(folder):
            if str(path.relative_to(folder)) not in known:
                path.unlink()
                with suppress(OSError):
                    path.parent.rmdir()

    def _folder(self, number: int) -> Path:
        return self._run_dir / "trials" / str(number)


def files_of(folder: Path) -> list[Path]:
    """Return the files of a trial, without those that are being written."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return [
        path
        for path in found
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
