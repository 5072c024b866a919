r"""Find expansions in a series of bars of any length.

    python -m jobs.predict --run results/RUN --bars ../shared/data/bars/mnq_1m.parquet \
        --out spans.parquet --min-confidence 0.3

In: bars of any layout (docs/data.md), recognised or named. Out, by --format or the name's end
Parquet or CSV, a row a span, none sharing a bar with another, times in the zone of the bars:

    start, stop                      bars of the series from 0, half-open: [start, stop)
    first_timestamp, last_timestamp  open of the first and of the last bar inside, where known
    confidence                       0..1, of the window that is surest of it
    type, type_confidence            what went before: consolidation or retracement
    windows                          how many windows found it; each bar is in about three

``--format tradingview`` writes a CSV with what charts import: time and end_time (Unix seconds of
the open of the first and last bar inside), label, confidence. A model refuses bars of another
length than those it was trained on (--any-bar-length).

Any run that has a model in artifacts/ will do. Labelled windows were cut around their run, and
``jade`` and ``jade-ensemble`` learn that from the columns that know the position within the window;
on a stream it means nothing. For streams train with ``--set candidates.place=false``
(docs/results.md has what that costs on labelled windows). The file appears whole or not at all.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.common.bar_options import add_bar_options, open_named
from jobs.common.entry import exit_code_of
from jobs.common.paths import found, output, require_place
from moola_core.errors import ConfigError, DataError
from moola_core.io.atomic import replacing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pyarrow as pa

    from moola_core.data.series import BarFile, Bars
    from moola_core.inference.sliding import Found
KINDS = (".parquet", ".csv")
FORMATS = ("csv", "parquet", "tradingview")
# Columns that each answer has, of a table and for a chart.
ANSWERS = ({"start", "stop", "confidence", "windows"}, {"time", "end_time", "label", "confidence"})
PROGRESS_S = 2.0


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns its exit code."""
    arguments = make_parser().parse_args(argv)
    return exit_code_of(lambda: predict(arguments))


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="jobs.predict",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run", type=found, required=True, help="folder of a run, with artifacts/")
    parser.add_argument("--bars", type=found, required=True, help="the series")
    parser.add_argument("--out", type=output, required=True, help="the spans, .parquet or .csv")
    parser.add_argument(
        "--stride", type=int, help="bars from window to window (a third of a window: 35 of 105)"
    )
    parser.add_argument("--min-confidence", type=float, default=0.0, help="drop less sure ones (0)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU (1)")
    parser.add_argument("--format", choices=FORMATS, help="of --out (by its name's end)")
    parser.add_argument(
        "--any-bar-length", action="store_true", help="also bars unlike those it was trained on"
    )
    add_bar_options(parser)
    return parser


def predict(arguments: argparse.Namespace) -> None:
    """Load, slide over the series, write, report."""
    out: Path = arguments.out
    if arguments.format is None and out.suffix not in KINDS:
        raise ConfigError(
            f"--out {out}: expected a name that ends in .parquet or .csv, or a --format"
        )
    require_place("--out", out, [arguments.bars])
    _require_answer(out)
    print("reading the model and the bars", file=sys.stderr, flush=True)
    import torch

    from jobs.common.data import find_device
    from moola_core.inference.sliding import answer, find_spans, sure_length
    from moola_core.inference.trained_model import load_model

    torch.set_num_threads(arguments.threads)
    trained = load_model(artifacts_of(arguments.run), find_device(arguments.device))
    if trained.recipe.model.has_candidates and trained.recipe.candidates.place:
        print(
            f"note: {arguments.run}: its model uses the position within the window, which means"
            " nothing on a stream; train it with --set candidates.place=false",
            file=sys.stderr,
        )
    sure = sure_length(trained.window_bars, trained.longest, arguments.stride)
    if sure < trained.longest:
        print(
            f"note: {arguments.run}: spans of more than {sure} bars may be cut by every window of"
            f" {trained.window_bars}, and lost; find more of them in more time with --stride 1,"
            " or train on longer windows: jobs.windows --length",
            file=sys.stderr,
        )
    file = open_named(arguments.bars, arguments)
    _require_known(arguments, file, trained.bar_ns)
    began = time.monotonic()
    with _named(arguments.bars):
        found = find_spans(
            _with_progress(file.chunks(), began),
            partial(answer, trained),
            stride=arguments.stride,
            floor=arguments.min_confidence,
            window_bars=trained.window_bars,
            longest=trained.longest,
        )
    seconds = time.monotonic() - began
    if len(file.clock.named) > 1 and file.clock.tz is None:
        print(
            f"note: {arguments.bars}: times of {' and '.join(file.clock.named)} come out in UTC;"
            " name their zone: --tz America/New_York or the like",
            file=sys.stderr,
        )
    table = to_table(found, trained.labels, file.clock.output_zone)
    kind = arguments.format or out.suffix.removeprefix(".")
    if kind == "tradingview":
        table = for_charts(table)
    write(out, table, is_csv=kind != "parquet")
    print(
        f"{out}: {len(found.spans):,} spans in {found.num_bars:,} bars,"
        f" {found.num_windows:,} windows, {seconds:.1f} s"
    )


def _require_answer(out: Path) -> None:
    """Refuse to replace what is no earlier answer, such as a list of spans that people marked.

    Raises:
        ConfigError: the file is there, and lacks the columns of an answer.
    """
    if not out.exists() or not out.stat().st_size:
        return
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    names: set[str] = set()
    with contextlib.suppress(pa.ArrowInvalid):
        with out.open("rb") as file:
            is_parquet = file.read(4) == b"PAR1"
        read = pyarrow.parquet.read_schema if is_parquet else pyarrow.csv.open_csv
        found = read(out)
        names = set((found if is_parquet else found.schema).names)
    if not any(names >= answer for answer in ANSWERS):
        raise ConfigError(
            f"--out {out}: a file that jobs.predict has not written, which would be replaced,"
            " expected a new one or earlier spans; name another"
        )


def import_all() -> None:
    """Import what `predict` needs, for copies of this process that are to run it."""
    for name in ("data.series", "inference.sliding", "inference.trained_model"):
        importlib.import_module(f"moola_core.{name}")
    for name in ("jobs.common.data", "pyarrow.parquet"):
        importlib.import_module(name)


def artifacts_of(run: Path) -> Path:
    """Return the folder of a run's model: its artifacts, or `run` itself if it holds them."""
    return run if (run / "model.json").is_file() else run / "artifacts"


@contextlib.contextmanager
def _named(bars: Path) -> Iterator[None]:
    """Name the file where a series is too short for a model, which knows no file."""
    try:
        yield
    except DataError as err:
        text = str(err)
        if not text.startswith("bars: "):
            raise
        why = text.removeprefix("bars: ")
        raise DataError(f"{bars}: {why} bars; give a longer series") from err


def _with_progress(chunks: Iterable[Bars], began: float) -> Iterator[Bars]:
    """Yield the same, with a line on stderr every 2 seconds or so."""
    num_bars, printed = 0, began
    for chunk in chunks:
        if time.monotonic() - printed > PROGRESS_S:
            printed = time.monotonic()
            print(f"{num_bars:,} bars, {printed - began:.0f} s", file=sys.stderr, flush=True)
        yield chunk
        num_bars += len(chunk)


def _require_known(arguments: argparse.Namespace, file: BarFile, bar_ns: int) -> None:
    """Refuse bars of another length than the model knows, and charts without times."""
    from moola_core.data.series_checks import require_length

    if not arguments.any_bar_length:
        known = f"{arguments.run} was trained on"
        require_length(str(arguments.bars), file.bar_ns, bar_ns, known)
    if arguments.format == "tradingview" and not file.columns.time:
        raise DataError(
            f"{arguments.bars}: no times, expected some for --format tradingview;"
            " name their column: --time-column"
        )


def for_charts(table: pa.Table) -> pa.Table:
    """Return the spans as a chart takes them: Unix seconds, the label, the confidence."""
    import pyarrow as pa
    import pyarrow.compute as pc

    def seconds(name: str) -> pa.ChunkedArray:
        return pc.divide(table[name].cast(pa.timestamp("ns", tz="UTC")).cast(pa.int64()), 10**9)

    columns = {"time": seconds("first_timestamp"), "end_time": seconds("last_timestamp")}
    return pa.table({**columns, "label": table["type"], "confidence": table["confidence"]})


def to_table(found: Found, labels: tuple[str, ...], zone: str = "UTC") -> pa.Table:
    """Return a row a span, columns as in the module's text; times in `zone`."""
    import pyarrow as pa

    columns: dict[str, Any] = {"start": found.spans[:, 0], "stop": found.spans[:, 1]}
    if found.time is not None:
        instant = pa.timestamp("ns", tz=zone)
        for i, name in enumerate(("first_timestamp", "last_timestamp")):
            columns[name] = pa.array(found.time[:, i]).cast(instant)
    columns["confidence"] = found.confidence
    types = [labels[kind] if kind >= 0 else None for kind in found.types]
    columns["type"] = pa.array(types, pa.string())
    columns["type_confidence"] = pa.array(found.type_confidence, mask=found.types < 0)
    columns["windows"] = found.windows
    return pa.table(columns)


def _whole_seconds(table: pa.Table) -> pa.Table:
    """Return the same with times without fractions of a second, as people read them."""
    import pyarrow as pa

    for i, one in enumerate(table.schema):
        if pa.types.is_timestamp(one.type):
            with contextlib.suppress(pa.ArrowInvalid):
                column = table.column(i).cast(pa.timestamp("s", tz=one.type.tz))
                table = table.set_column(i, one.name, column)
    return table


def write(out: Path, table: pa.Table, *, is_csv: bool) -> None:
    """Write aside, then rename."""
    import pyarrow.csv
    import pyarrow.parquet

    with replacing(out) as aside:
        if is_csv:
            pyarrow.csv.write_csv(_whole_seconds(table), aside)
        else:
            pyarrow.parquet.write_table(table, aside)


if __name__ == "__main__":
    sys.exit(main())
