"""The limits of a fetch, to the byte."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from moola_remote.errors import LimitError
from moola_remote.protocol.manifest import ManifestFile
from moola_remote.results.fetched import Caps
from moola_remote.results.verify import check_caps, check_space
from tests.support.fetching import RUN


@pytest.mark.parametrize("size", [1, 10**9 - 1, 10**9, 25 * 10**8])
def test_the_limit_that_a_refusal_names_is_enough(size: int, tmp_path: Path) -> None:
    files = [ManifestFile(path="a", size=size, sha256="0" * 64)]
    with pytest.raises(LimitError, match=rf"{size} bytes, .*--max-gb \d+$") as refused:
        check_caps(RUN, tmp_path, files, Caps(max_bytes=0))
    named = int(str(refused.value).rpartition(" ")[2])
    check_caps(RUN, tmp_path, files, Caps(max_bytes=named * 10**9))
    with pytest.raises(LimitError, match=r"1 files, .*--max-files 1$"):
        check_caps(RUN, tmp_path, files, Caps(max_files=0))


def test_what_has_arrived_already_needs_no_more_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "part").write_bytes(b"x" * 60)
    files = [ManifestFile(path=name, size=50, sha256="0" * 64) for name in ("part", "b")]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=40))
    check_space(tmp_path, files)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=39))
    with pytest.raises(LimitError, match="40 bytes to fetch, 39 free on this disk"):
        check_space(tmp_path, files)
