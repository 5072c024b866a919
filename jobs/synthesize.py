"""Write the built-in market in the form of the real data.

    python -m jobs.synthesize --out data/synthetic

Makes ``labelled/{train_210,train_2000,test_1000,span_ids}.parquet`` and
``bars/synthetic_1m.parquet`` below the folder; the test windows are of a market of their own.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from jobs.common.entry import exit_code_of
from moola_core.data.synthetic import Market, bars_table, make_market, windows_table
from moola_core.errors import ConfigError
from moola_core.io.atomic import replacing

NUM_BARS = 120_000
NUM_TEST_BARS = 80_000


def main(argv: list[str] | None = None) -> int:
    """Run the job; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="jobs.synthesize",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    return exit_code_of(lambda: synthesize(arguments.out, arguments.seed))


def synthesize(out: Path, seed: int) -> None:
    """Write the files aside, then give the folder its name: it is whole or not there."""
    if out.exists():
        raise ConfigError(f"--out {out}: already exists, expected a new folder; remove it first")
    with replacing(out) as aside:
        (aside / "labelled").mkdir(parents=True)
        (aside / "bars").mkdir()
        market = make_market(NUM_BARS, seed)
        pq.write_table(bars_table(market), aside / "bars" / "synthetic_1m.parquet")
        test_market = make_market(NUM_TEST_BARS, seed + 1)
        span_ids = [
            _write(aside, "train_210", market),
            _write(aside, "train_2000", market, per_span=5),
            _write(aside, "test_1000", test_market, per_span=4, first_span=len(market.spans)),
        ]
        pq.write_table(pa.concat_tables(span_ids), aside / "labelled" / "span_ids.parquet")
    print(f"{out}: {len(market.bars)} bars, windows of {len(market.spans)} expansions (synthetic)")


def _write(
    folder: Path, name: str, market: Market, *, per_span: int = 1, first_span: int = 0
) -> pa.Table:
    """Write ``labelled/NAME.parquet``, of as many windows as its name says; returns their spans."""
    num_windows = int(name.rpartition("_")[2])
    table, spans = windows_table(
        market, num_windows, per_span=per_span, shifts=per_span == 1, seed=1
    )
    pq.write_table(table, folder / "labelled" / f"{name}.parquet")
    return pa.table(
        {
            "window_id": table["window_id"],
            "span_id": spans + first_span,
            "file": [name] * len(table),
        }
    )


if __name__ == "__main__":
    sys.exit(main())
