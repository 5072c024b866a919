from __future__ import annotations

from pathlib import Path

import pytest

from jobs.synthesize import main


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in market as files, one for the whole session."""
    out = tmp_path_factory.mktemp("synthetic") / "data"
    assert main(["--out", str(out)]) == 0
    return out
