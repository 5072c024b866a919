"""Write the files of labels of other programs, and the tables that docs/data.md makes of them.

``python make_programs.py`` in an environment that has the packages named there: each block of
Python below "Labels drawn in other programs" is run beside a file written by its library; the block
and the spans.csv that it wrote are kept in programs/, where test_other_programs.py reads them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import edfio  # type: ignore[import-not-found, unused-ignore]
import mne  # type: ignore[import-not-found, unused-ignore]
import numpy as np
import parselmouth  # type: ignore[import-not-found, unused-ignore]
import wfdb  # type: ignore[import-not-found, unused-ignore]
from pympi import Elan  # type: ignore[import-not-found, unused-ignore]
from textgrid import IntervalTier, TextGrid  # type: ignore[import-not-found, unused-ignore]

HERE = Path(__file__).resolve().parent
SPANS = [(200, 207, "up"), (420, 440, "down"), (900, 905, "spike"), (1500, 1512, "up")]
NUM_BARS, MINUTE = 2000, 60
SYMBOLS = {"up": "p", "down": "t", "spike": "N"}  # WFDB has its own alphabet
NAMES = ("elan", "textgrid", "praatio", "wfdb", "mne-edf", "pyedflib")


def write_labels() -> None:
    """Write the spans with every library, into the current folder."""
    eaf = Elan.Eaf()
    eaf.add_tier("labels")
    tier = IntervalTier("labels", 0, NUM_BARS * MINUTE)
    for start, stop, word in SPANS:
        eaf.add_annotation("labels", 1000 * MINUTE * start, 1000 * MINUTE * stop, word)
        tier.add(MINUTE * start, MINUTE * stop, word)
    eaf.to_file("labels.eaf")
    grid = TextGrid(maxTime=NUM_BARS * MINUTE)
    grid.append(tier)
    grid.write("labels.TextGrid")
    marks = [
        mark
        for start, stop, word in SPANS
        for mark in ((start, "("), (start + 1, SYMBOLS[word]), (stop - 1, ")"))
    ]
    samples, symbols = zip(*marks, strict=True)
    wfdb.wrann("labels", "atr", np.array(samples), list(symbols), fs=1)
    signal = edfio.EdfSignal(np.sin(np.arange(NUM_BARS)), 1, label="close")
    notes = [edfio.EdfAnnotation(start, stop - start, word) for start, stop, word in SPANS]
    edfio.Edf([signal], annotations=notes).write("labels.edf")


def write_tables(folder: Path) -> None:
    """Write what programs and libraries export as tables, which jobs.windows reads as they are."""
    table = parselmouth.praat.call(
        parselmouth.read("labels.TextGrid"), "Down to Table", False, 6, True, False
    )
    # Praat needs absolute paths
    target = str(folder.resolve() / "praat.csv")
    parselmouth.praat.call(table, "Save as comma-separated file...", target)
    onsets, durations, words = zip(
        *((60.0 * a, 60.0 * (b - a), w) for a, b, w in SPANS), strict=True
    )
    annotations = mne.Annotations(onsets, durations, words)
    for kind in ("txt", "csv"):
        annotations.save(folder / f"mne-annot.{kind}", overwrite=True, verbose="error")


def main() -> None:
    """Run the blocks of the page, each in a process of its own."""
    page = (HERE.parents[2] / "docs" / "data.md").read_text()
    part = page.split("### Labels drawn in other programs")[1].split("\n```\nbar ")[0]
    blocks = re.findall(r"```python\n(.*?)```", part, re.DOTALL)
    target = HERE / "programs"
    target.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        write_labels()
        for name, block in zip(NAMES, blocks, strict=True):
            Path("spans.csv").unlink(missing_ok=True)
            subprocess.run([sys.executable, "-c", block], check=True)
            (target / f"{name}.block.txt").write_text(block)
            shutil.copy("spans.csv", target / f"{name}.csv")
        write_tables(target)


if __name__ == "__main__":
    main()
