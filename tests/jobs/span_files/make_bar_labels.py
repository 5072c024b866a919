"""Write labels per bar as polars does; see README.md."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl  # type: ignore[import-not-found, unused-ignore]

SPANS = ((2, 5, "up"), (5, 7, "down"), (9, 10, "up"))

words = [next((word for a, b, word in SPANS if a <= bar < b), None) for bar in range(12)]
first = dt.datetime(2024, 1, 2, 14, 30, tzinfo=dt.timezone.utc)
times = [first + dt.timedelta(minutes=bar) for bar in range(12)]
frame = pl.DataFrame({"timestamp": times, "label": words})
folder = Path(__file__).parent
frame.write_csv(folder / "labels-polars.csv")
frame.write_ndjson(folder / "labels-polars.ndjson")
typed = frame.with_columns(pl.col("label").cast(pl.Categorical))
typed.write_parquet(folder / "labels-polars.parquet")
frame.write_ipc(folder / "labels-polars.arrow")
