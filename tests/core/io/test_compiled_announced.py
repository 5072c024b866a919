"""The first compilation takes seconds, and says so once; what is kept is read without a word."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.lanes import HANGS_S

pytestmark = pytest.mark.process

SCRIPT = """
from moola_core.io.compiled import compiled
@compiled()
def one(x): return x + 1
@compiled()
def two(x): return x + 2
print(one(1), two(1))
"""


def test_compiling_is_announced_once_and_not_when_it_was_kept(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")}
    words = [sys.executable, str(script)]
    said = [
        subprocess.run(
            words, capture_output=True, text=True, check=True, timeout=HANGS_S, env=environment
        ).stderr
        for _ in range(2)
    ]
    assert said == ["compiling, once for this version of the code; it is kept\n", ""]
