"""The links and empty folders of a fetched run; none leads out of it, and none is followed."""

from __future__ import annotations

import os
from pathlib import Path

from moola_remote.errors import TransferError
from moola_remote.protocol.manifest import Entry, Link, Manifest, stays_inside
from moola_remote.results.fetched import Missing
from moola_remote.results.staging import real_folder
from moola_remote.text.sanitize import safe


def make_links_and_folders(final: Path, manifest: Manifest) -> list[Missing]:
    """Make the links and empty folders of a run; return what could not be made."""
    found = [_make_folder(final, folder) for folder in manifest.folders]
    found += [_make_link(final, link) for link in manifest.links]
    return [one for one in found if one is not None]


def _make_folder(final: Path, folder: Entry) -> Missing | None:
    try:
        real_folder(final, folder.name)
    except (OSError, TransferError) as err:
        return Missing(folder.shown, str(err))
    return None


def _make_link(final: Path, link: Link) -> Missing | None:
    target = safe(link.target, 200)
    if not stays_inside(link):
        return Missing(link.shown, f"a link that leads out of the run, to {target}")
    head, _, name = link.name.rpartition("/")
    try:
        path = real_folder(final, head) / name
        if path.is_symlink() and os.readlink(path) == link.target:  # noqa: PTH115 - as it stands
            return None
        path.symlink_to(link.target)
    except (OSError, TransferError, ValueError) as err:
        return Missing(link.shown, f"a link to {target} can't be made here, {safe(str(err), 200)}")
    return None
