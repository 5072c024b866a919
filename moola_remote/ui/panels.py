"""Draws a `RunView` as text of a given size: one screen while it runs, a summary when it has ended.

Everything is `rich.text.Text`, built without markup: what a job writes can't style it. Train and
validation losses of one task share one scale, since they are one formula.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from rich.cells import cell_len
from rich.text import Text

from moola_remote.follow.view import RunView
from moola_remote.protocol.events import EpochEvent, Gpu
from moola_remote.text.format import duration, gib, loss, percent, score, whole
from moola_remote.ui.sparkline import axis_scale, sparkline

TRAIN, VALIDATION, GOOD, WARN, BAD, QUIET = "cyan", "magenta", "green", "yellow", "bold red", "dim"
AWAY = "bold cyan"
NO_NUMBERS = ("nan", "inf", "-inf")
STATE_STYLES = {
    "RUNNING": "bold green",
    "SUCCEEDED": "bold green",
    "QUEUED": "bold yellow",
    "PREPARING": "bold yellow",
    "STARTING": "bold yellow",
    "CANCELLED": "bold yellow",
    "PREEMPTED": "bold yellow",
}
SHORT = {"f1": "f1", "iou": "iou", "in_span": "in", "out_span": "out"}  # scores in the epoch table
EPOCH_WIDTH = 6
NAME_WIDTH = 12
MAX_TASKS = 12
FINAL_EPOCHS = 200


def draw(view: RunView, *, width: int, height: int, now: float) -> Text:
    """The screen of a running job, `height` lines at most."""
    lines = header(view, width=width, now=now)
    room = height - len(lines)
    if not view.epochs:
        return _joined([*lines, *log_panel(view, width=width, num_lines=room - 1)], width)
    tasks = tasks_panel(view, width=width)
    if room - len(tasks) >= 11:
        lines += tasks
        room -= len(tasks)
    num_rows = max(min(len(view.epochs), room - 3 - max(4, room * 2 // 5)), 1)
    lines += epochs_panel(view, width=width, num_rows=num_rows)
    lines += log_panel(view, width=width, num_lines=room - 3 - num_rows)
    return _joined(lines[:height], width)


def final(view: RunView, *, width: int, now: float) -> Text:
    """What stays on the terminal: how it stands or ended, and every epoch."""
    lines = header(view, width=width, now=now)
    if view.epochs:
        lines += tasks_panel(view, width=width)
        lines += epochs_panel(view, width=width, num_rows=FINAL_EPOCHS)
    # A run that has ended told its scores last, or why it failed.
    num_lines = 25 if view.state and view.state.has_ended else 6
    return _joined([*lines, *log_panel(view, width=width, num_lines=num_lines)], width)


def header(view: RunView, *, width: int, now: float) -> list[Text]:
    """State, where it runs, what it costs, how far it is, how busy the pod is."""
    lines = [_title(view, width, now), _place(view, width, now)]
    if view.num_epochs:
        lines.append(_progress(view, width, now))
    if view.telemetry:
        lines.append(_use(view, width))
    if view.state and view.state.reason:
        lines.append(Text(f" {view.state.reason}", BAD))
    lines += [Text(f" {line}", AWAY) for line in view.away]
    return lines


def _title(view: RunView, width: int, now: float) -> Text:
    state = view.state_name
    position = view.state.queue_position if view.state else None
    queue = f" {position}" if position is not None and state == "QUEUED" else ""
    line = Text(f" {state}{queue}", STATE_STYLES.get(state, BAD))
    line.append(f"  {view.run_id}", "bold")
    elapsed = view.elapsed_s(now)
    return _right(line, duration(elapsed) if elapsed is not None else "", width)


def _place(view: RunView, width: int, now: float) -> Text:
    """Pod, GPU and money, cut where they are long; how the link stands is always in sight."""
    spent = view.spent_usd(now)
    gpu = view.gpu or (view.run.device if view.run else "")
    facts = [view.pod, gpu]
    facts += [f"${view.price_per_hour:.2f}/h"] if view.price_per_hour else []
    facts += [f"spent ${spent:.2f}"] if spent is not None else []
    link = view.link or ("connected" if view.state else "connecting")
    line = Text(" " + " · ".join(fact for fact in facts if fact))
    line.truncate(max(width - cell_len(link) - 4, 10), overflow="ellipsis")
    line.append(" · ")
    return line.append(link, QUIET if link.startswith("connected") else "bold yellow")


def _progress(view: RunView, width: int, now: float) -> Text:
    done = view.last_epoch.epoch if view.last_epoch else 0
    share = min(done / view.num_epochs, 1.0)
    left, money = view.left_s(now), view.left_usd(now)
    words = f" epoch {done}/{view.num_epochs} · {share:.0%}"
    is_finishing = left is not None and done == view.num_epochs
    words += " · finishing" if is_finishing else f" · {duration(left)} left" if left else ""
    words += f" · ${money:.2f} to go" if money is not None else ""
    words += f" · checkpoint {view.checkpoint}" if view.checkpoint is not None else ""
    size = max(width - len(words) - 3, 4)
    full = round(size * share)
    return Text.assemble(" ", ("━" * full, GOOD), ("━" * (size - full), QUIET), " ", words)


def _use(view: RunView, width: int) -> Text:
    use = view.telemetry
    assert use is not None
    parts = [_gpu(gpu, is_only=len(use.gpus) == 1) for gpu in use.gpus]
    parts.append(_fact("CPU", f"{whole(use.cpu_percent)}%"))
    if view.idle_share is not None:
        style = WARN if view.idle_share > 0.5 else ""
        parts.append(_fact("idle", f"{view.idle_share:.0%}", style))
    parts.append(_fact("RAM", f"{gib(use.ram_used)}/{gib(use.ram_total)} GiB"))
    parts.append(_fact("disk free", f"{gib(use.disk_free)} GiB"))
    line = Text(" ")
    for part in parts:
        if line.cell_len + part.cell_len <= width:
            line.append_text(part)
    return line


def _gpu(gpu: Gpu, *, is_only: bool) -> Text:
    part = Text("GPU" if is_only else f"GPU{gpu.index}", QUIET)
    part.append(f" {whole(gpu.use_percent)}% ", GOOD if gpu.use_percent >= 50 else WARN)
    part.append(f"{gib(gpu.memory_used)}/{gib(gpu.memory_total)} GiB ")
    if is_only and math.isfinite(gpu.temperature_c):
        part.append(f"{whole(gpu.temperature_c)}°C ")
    if is_only and math.isfinite(gpu.power_w):
        part.append(f"{whole(gpu.power_w)} W ")
    part.append(" ")
    return part


def _fact(name: str, value: str, style: str = "") -> Text:
    return Text.assemble((name, QUIET), " ", (value, style), "  ")


def tasks_panel(view: RunView, *, width: int) -> list[Text]:
    """One line a task: both losses as a curve and as a number, its sigma, its share, its pull.

    Share is of the precisions, pull of the gradient.
    """
    last = view.last_epoch
    assert last is not None
    size = max(min((width - 58) // 2, 40), 6)
    validation_at = NAME_WIDTH + size + 13
    sigma_at = validation_at + size + 11
    share_at = sigma_at + 7
    room = width - share_at - 6
    has_pull = room >= 18
    bar = max(min((room - 8) // 2 if has_pull else room - 1, 16), 0)
    heads = {2: "losses", NAME_WIDTH + 2: "train", validation_at: "validation"}
    heads |= {sigma_at: "sigma", share_at: "share"}
    heads |= {share_at + bar + 8: "pull"} if has_pull else {}
    lines = [_rule(width, heads)]
    for name in ["total", *view.tasks[:MAX_TASKS]]:
        line = _curves(view, name, size)
        if name != "total":
            line.append(f"{score(last.sigma.get(name, math.nan)):>5} ")
            _add_share(line, last.share.get(name, math.nan), bar)
            if has_pull:
                _add_share(line, last.gradient_share.get(name, math.nan), bar)
        lines.append(line)
    return lines


def _curves(view: RunView, name: str, size: int) -> Text:
    train = [event.train for event in view.epochs.values()]
    validation = [event.validation for event in view.epochs.values()]
    scale = axis_scale(table[name] for table in [*train, *validation] if name in table)
    line = Text(f" {_fit(name, NAME_WIDTH):<{NAME_WIDTH + 1}}", "bold" if name == "total" else "")
    for tables, style in ((train, TRAIN), (validation, VALIDATION)):
        values = [table[name] for table in tables if name in table]  # none where all windows train
        last = loss(values[-1]) if values else "-"
        line.append(f"{sparkline(values, size, *scale):<{size}}", style)
        line.append(f" {last:>8}  ", BAD if last in NO_NUMBERS else "")
    return line


def _add_share(line: Text, share: float, bar: int) -> None:
    line.append(f" {percent(share):>5} ")
    filled = round(min(max(share, 0.0), 1.0) * bar) if math.isfinite(share) else 0
    line.append(f"{'■' * filled:<{bar + 1}}", QUIET)


@dataclass(frozen=True)
class Group:
    """Columns of the epoch table that come or go together."""

    title: str
    keys: Sequence[str]
    get: Callable[[EpochEvent], Mapping[str, float]]
    form: Callable[[float], str]
    style: str = ""

    @cached_property
    def heads(self) -> list[str]:
        """The columns' heads, each as wide as its column."""
        names = [_fit(SHORT.get(key, key), NAME_WIDTH) for key in self.keys]
        return [f" {name:>{5 if self.form is score else 7}}" for name in names]

    @property
    def width(self) -> int:
        """Of all columns."""
        return sum(map(len, self.heads))

    def cells(self, event: EpochEvent) -> list[str]:
        """The columns' values, each as wide as its column."""
        values = self.get(event)
        return [
            f"{self.form(values[key]) if key in values else '-':>{len(head)}}"
            for key, head in zip(self.keys, self.heads, strict=True)
        ]


def groups(view: RunView, width: int) -> list[Group]:
    """The epoch table's columns: those told of that fit in `width`, the most telling first."""
    last = view.last_epoch
    assert last is not None
    tasks = view.tasks[:MAX_TASKS]
    total = Group("total", list(_totals(last)), _totals, loss)
    train = Group("train loss", tasks, lambda event: event.train, loss, TRAIN)
    validation = Group("validation loss", tasks, lambda event: event.validation, loss, VALIDATION)
    sigma = Group("sigma", tasks, lambda event: event.sigma, score)
    share = Group("share", tasks, lambda event: event.share, percent)
    scores = Group("scores", list(SHORT), lambda event: event.scores, score, GOOD)
    pace = Group("pace", ["s"], lambda event: {"s": event.seconds}, lambda value: f"{value:.1f}")
    chosen: list[Group] = []
    for group in (total, scores, validation, sigma, share, pace, train):
        used = EPOCH_WIDTH + sum(one.width for one in [*chosen, group])
        if used <= width and any(key in group.get(last) for key in group.keys):
            chosen.append(group)
    return [one for one in (total, train, validation, sigma, share, scores, pace) if one in chosen]


def _totals(event: EpochEvent) -> dict[str, float]:
    sides = {"train": event.train, "valid": event.validation}
    return {name: table["total"] for name, table in sides.items() if "total" in table}


def epochs_panel(view: RunView, *, width: int, num_rows: int) -> list[Text]:
    """The last `num_rows` epochs; the best one is marked, and stays in sight as the first row."""
    columns = groups(view, width)
    titles, at = {}, EPOCH_WIDTH
    for group in columns:
        titles[at + 1] = group.title[: group.width - 2]
        at += group.width
    best = view.best_epoch
    shown = list(view.epochs.values())[-num_rows:]
    if best is not None and best < shown[0].epoch and num_rows > 1:
        shown = [view.epochs[best], *shown[1:]]
    heads = Text("epoch " + "".join(head for group in columns for head in group.heads), QUIET)
    rows = [_epoch_row(event, columns, is_best=event.epoch == best) for event in shown]
    return [_rule(width, titles), heads, *rows]


def _epoch_row(event: EpochEvent, columns: Sequence[Group], *, is_best: bool) -> Text:
    line = Text(
        f"{event.epoch:>{EPOCH_WIDTH - 1}}{'*' if is_best else ' '}", GOOD if is_best else ""
    )
    for group in columns:
        for cell in group.cells(event):
            line.append(cell, BAD if cell.strip() in NO_NUMBERS else group.style)
    return line


def log_panel(view: RunView, *, width: int, num_lines: int) -> list[Text]:
    """The log's last lines, and the one that is being written."""
    if num_lines < 1:
        return []
    unfinished = view.log.unfinished
    lines = [*list(view.lines)[-num_lines:], *([unfinished] if unfinished else [])][-num_lines:]
    return [_rule(width, {2: "log"}), *(Text(line.expandtabs()) for line in lines)]


def _fit(name: str, size: int) -> str:
    return name if len(name) <= size else name[: size - 1] + "…"


def _rule(width: int, words: Mapping[int, str]) -> Text:
    line = ["─"] * width
    for at, word in words.items():
        line[at - 1 : at + len(word) + 1] = f" {word} "
    return Text("".join(line[:width]), QUIET)


def _right(line: Text, end: str, width: int) -> Text:
    line.append(" " * max(width - line.cell_len - len(end) - 1, 1) + end)
    return line


def _joined(lines: Sequence[Text], width: int) -> Text:
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    text = Text("\n").join(lines)
    text.no_wrap, text.overflow = True, "crop"
    return text
