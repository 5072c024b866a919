"""What became of marked spans that windows were cut around."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

ONLY_ASKED = "; recipe span trains on them only with --set data.offsets=null"


@dataclass
class Report:
    """What became of the spans.

    Attributes:
        kept: spans with a window.
        copies: shifted windows beside them; `clipped` of all windows show a part of their span.
        negatives: windows without a span, of so many that were asked for.
        crowded: windows that show another span whole, since no place without it was left.
        shared: kept spans without a window of their own, since that of another shows them whole.
        marked: where windows may hold several spans, how many windows hold how many.
        cut: of those the spans that their window shows in part.
        left_out: why, and the rows of the file.
    """

    kept: int = 0
    copies: int = 0
    clipped: int = 0
    crowded: int = 0
    negatives: int = 0
    negatives_asked: int = 0
    shared: int = 0
    marked: Counter[int] = field(default_factory=Counter)
    cut: int = 0
    left_out: dict[str, list[int]] = field(default_factory=dict)

    def leave_out(self, why: str, row: int) -> None:
        """Note that the span of a row has no window."""
        self.left_out.setdefault(why, []).append(row)


def summarise(report: Report, num_spans: int, labels: Sequence[str | None]) -> list[str]:
    """Return the report as lines: how many of each were kept, and why others were not."""
    num_windows = report.kept - report.shared + report.copies
    lines = [f"{report.kept} of {num_spans} spans kept, {num_windows} windows"]
    if report.marked:
        held = ", ".join(f"{number} in {n}" for number, n in sorted(report.marked.items()))
        lines.append(f"spans a window: {held} windows; {report.cut} cut by a window's edge")
    if report.copies and report.marked:
        lines.append(f"{report.copies} of them shifted copies{ONLY_ASKED}")
    elif report.copies:
        clipped = f", {report.clipped} clip their span"
        lines.append(f"{report.copies} of them shifted copies{clipped}{ONLY_ASKED}")
    if report.crowded:
        lines.append(f"{report.crowded} show another span whole: no place without it")
    if report.negatives_asked:
        lines.append(f"{report.negatives} of {report.negatives_asked} windows without a span kept")
    if report.negatives < report.negatives_asked:
        missing = report.negatives_asked - report.negatives
        lines.append(f"{missing} left out: no place free of spans and of other such windows")
    for why, rows in report.left_out.items():
        some = ", ".join(str(row) for row in rows[:5]) + (" ..." if len(rows) > 5 else "")
        lines.append(f"{len(rows)} left out: {why} (rows {some})")
    counts = Counter(word for word in labels if word is not None)
    if counts:
        lines.append("types: " + ", ".join(f"{word} {n}" for word, n in sorted(counts.items())))
    return lines
