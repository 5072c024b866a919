"""What data sets hold, by their Parquet footers: no row is read."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moola_remote.deploy.snapshot import Tree
BARS = {"timestamp", "open", "high", "low", "close"}
LABEL = "expansion_start"


@dataclass(frozen=True)
class Contents:
    """Rows of labelled windows, rows of one-minute bars, and the files that are no Parquet."""

    windows: int
    bars: int
    unreadable: tuple[str, ...]

    def __str__(self) -> str:
        counts = {"windows": self.windows, "bars": self.bars}
        words = [f"{count:,} {name}" for name, count in counts.items() if count]
        if self.unreadable:
            words.append(f"not Parquet: {', '.join(self.unreadable)}")
        return ", ".join(words)


def contents_of(tree: Tree) -> Contents:
    """Count the windows and bars in the ``*.parquet`` files of a tree of data.

    Without pyarrow nothing is counted: it is for people to read, and no deploy waits for it.
    """
    if find_spec("pyarrow") is None:
        return Contents(0, 0, ())
    windows = bars = 0
    unreadable = []
    for part in tree.parts:
        for path in part.paths:
            if not path.endswith(".parquet"):
                continue
            footer = _footer(part.folder / path)
            if footer is None:
                unreadable.append(part.prefix + path)
                continue
            columns, num_rows = footer
            windows += num_rows if LABEL in columns else 0
            bars += num_rows if columns >= BARS else 0
    return Contents(windows, bars, tuple(unreadable))


def _footer(path: Path) -> tuple[set[str], int] | None:
    """Return the names of the columns and the number of rows; None if it is no Parquet file."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        footer = parquet.read_metadata(path)
        return set(footer.schema.to_arrow_schema().names), footer.num_rows
    except (pa.ArrowException, OSError, UnicodeDecodeError):
        return None
