"""Draws a `RunView` as text of a given size: one screen while it runs, a summary when it has ended.

Everything is `rich.text.Text`, built without markup: what a job writes can't style it. Train and
validation losses of one task share one scale, since they are one formula.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

from moola_remote.follow.view import RunView
from moola_remote.protocol.events import Gpu
from moola_remote.text.format import duration, gib, loss, percent, score, whole
from moola_remote.ui.epoch_table import epochs_panel
from moola_remote.ui.sparkline import axis_scale, sparkline
from moola_remote.ui.styles import (
    AWAY,
    BAD,
    GOOD,
    MAX_TASKS,
    NAME_WIDTH,
    NO_NUMBERS,
    QUIET,
    STATE_STYLES,
    TRAIN,
    VALIDATION,
    WARN,
    fit,
    rule,
)

FINAL_EPOCHS = 200


def draw(view: RunView, *, width: int, height: int, now: float) -> Text:
    """Return the screen of a running job, `height` lines at most."""
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
    """Return what stays on the terminal: how it stands or ended, and every epoch."""
    lines = header(view, width=width, now=now)
    if view.epochs:
        lines += tasks_panel(view, width=width)
        lines += epochs_panel(view, width=width, num_rows=FINAL_EPOCHS)
    # A run that has ended reported its scores last, or why it failed.
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
    lines = [rule(width, heads)]
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
    line = Text(f" {fit(name, NAME_WIDTH):<{NAME_WIDTH + 1}}", "bold" if name == "total" else "")
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


def log_panel(view: RunView, *, width: int, num_lines: int) -> list[Text]:
    """Return the log's last lines, and the one that is being written."""
    if num_lines < 1:
        return []
    unfinished = view.log.unfinished
    lines = [*list(view.lines)[-num_lines:], *([unfinished] if unfinished else [])][-num_lines:]
    return [rule(width, {2: "log"}), *(Text(line.expandtabs()) for line in lines)]


def _right(line: Text, end: str, width: int) -> Text:
    line.append(" " * max(width - line.cell_len - len(end) - 1, 1) + end)
    return line


def _joined(lines: Sequence[Text], width: int) -> Text:
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    text = Text("\n").join(lines)
    text.no_wrap, text.overflow = True, "crop"
    return text
