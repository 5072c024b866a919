"""Which of a run's files a fetch of results, logs, checkpoints or all includes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, TypeAlias

from msgspec import structs

if TYPE_CHECKING:
    from moola_remote.protocol.manifest import Entry, Manifest, ManifestFile


What: TypeAlias = Literal["results", "logs", "checkpoints", "all"]
WORKDIR = "workdir/"
# Of the run, or of one of the trials that it did.
_CHECKPOINT = re.compile(r"(trials/\d+/)?checkpoints/")
# What `results` brings of the working folder, the smallest files first.
WORKDIR_BYTES = 200 * 10**6


def chosen_of(manifest: Manifest, what: What) -> tuple[Manifest, list[ManifestFile]]:
    """Return what is asked for of a manifest, and what ``results`` leaves for its size."""
    if what == "all":
        return manifest, []

    def is_wanted(entry: Entry) -> bool:
        is_checkpoint = _CHECKPOINT.match(entry.path) is not None
        return {
            "results": not is_checkpoint,
            "logs": entry.path in ("log", "events.jsonl"),
            "checkpoints": is_checkpoint,
        }[what]

    files = [file for file in manifest.files if is_wanted(file)]
    left: list[ManifestFile] = []
    if what == "results":
        room = WORKDIR_BYTES
        for file in sorted(files, key=lambda file: file.size):
            if file.path.startswith(WORKDIR):
                room -= file.size
                if room < 0:
                    left.append(file)
        large = {file.name for file in left}
        files = [file for file in files if file.name not in large]
    lists = {
        "files": files,
        "links": [link for link in manifest.links if is_wanted(link)],
        "folders": [folder for folder in manifest.folders if is_wanted(folder)],
        "unreadable": [one for one in manifest.unreadable if is_wanted(one)],
    }
    return structs.replace(manifest, **lists), left
