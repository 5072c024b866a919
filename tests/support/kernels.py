"""Compile what a training needs, for all that the tests start: once for a version of moola_core.

    python -m tests.support.kernels

Otherwise each worker of xdist, and each pod that trains, compiles it at the same time.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from tests.support.shared import kernels

SPAN = Path(__file__).parents[2] / "configs" / "train" / "span.yaml"


def main() -> None:
    """Train once, as little as can be, unless it was done before."""
    os.environ["NUMBA_CACHE_DIR"] = str(kernels())
    from jobs.synthesize import main as synthesize
    from jobs.train import main as train
    from moola_core.io.compiled import shared_folder

    kept = shared_folder()
    if kept is None or (kept / ".trained").exists():
        return
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        assert synthesize(["--out", f"{folder}/data"]) == 0
        argv = ["--config", str(SPAN), "--run-dir", f"{folder}/run", "--data", f"{folder}/data"]
        assert train([*argv, "--device", "cpu", "--set", "training.epochs=1"]) == 0
    (kept / ".trained").touch()


if __name__ == "__main__":
    main()
