"""The options that say how a file of bars is read, and the line that says how it was."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moola_core.data.series import BarFile


def add_bar_options(parser: argparse.ArgumentParser) -> None:
    """Add --layout, --tz and the rest to `parser`."""
    group = parser.add_argument_group("how the bars are read (found out where not given)")
    group.add_argument("--layout", help="whose file it is: klines, metatrader5 ... (docs/data.md)")
    group.add_argument("--tz", help="the zone of times that have none, like America/New_York")
    group.add_argument("--time-column", help="the column of times")
    group.add_argument("--stamp", choices=("open", "close"), help="the end that a time stands for")
    group.add_argument(
        "--fold", choices=("0", "1", "order"), help="which hour where clocks go back over it"
    )
    group.add_argument(
        "--dates",
        choices=("dmy", "mdy", "excel", "excel-1904"),
        help="01/02/2024: day or month first; 45293.604: Excel's days since 1900 or 1904",
    )
    group.add_argument("--symbol", help="the instrument, of several in one file")


def open_named(path: Path, arguments: argparse.Namespace) -> BarFile:
    """Open a file of bars by the options, and print how it is read to stderr."""
    from moola_core.data.series import ReadOptions, open_bars

    names = ("layout", "tz", "time_column", "stamp", "fold", "dates", "symbol")
    options = {name: getattr(arguments, name) for name in names}
    file = open_bars(path, ReadOptions(**options))
    print(file.describe(), file=sys.stderr, flush=True)
    return file
