"""Files that compare with the same heavy library go to one worker, which loads it once."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from xdist.scheduler import LoadFileScheduling

# scikit-learn .9 s of CPU, pandas .25; gradcheck loads sympy, .4.
ORACLES = ("sklearn", "gradcheck", "pandas")


class FilesByOracle(LoadFileScheduling):  # type: ignore[misc]
    """``--dist loadfile`` with the files of each oracle as one file."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return oracle_of(self.config.rootpath / file) or file


@cache
def oracle_of(path: Path) -> str | None:
    """Return the heavy library that a file of tests compares with."""
    text = path.read_text(encoding="utf-8")
    return next((name for name in ORACLES if re.search(rf"\b{name}\b", text)), None)
