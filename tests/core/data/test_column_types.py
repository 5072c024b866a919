"""Bars in columns of every type that Parquet and Arrow have: the same values and times."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from moola_core.data.series import read_bars
from moola_core.errors import DataError

OPENED = np.array([100.0, 100.25, 99.5, 100.75])
PRICES = {"open": OPENED, "high": OPENED + 2, "low": OPENED - 2, "close": OPENED + 1}
SECONDS = 1_704_205_800 + 60 * np.arange(4)
TIME = SECONDS * 10**9
MS = 10**6
DAYS = np.datetime64("2024-01-02") + np.arange(4)
ONLY_ARROW = ("run ends", "views")  # pyarrow can't write such columns to Parquet

To = Callable[[np.ndarray], pa.Array]


def decimals(kind: pa.DataType) -> To:
    return lambda values: pa.array([Decimal(str(one)) for one in values.tolist()], kind)


def texts(kind: pa.DataType) -> To:
    return lambda values: pa.array([str(one) for one in values.tolist()], kind)


def _views(values: np.ndarray) -> pa.Array:
    coded = texts(pa.string())(values).dictionary_encode()
    return pa.DictionaryArray.from_arrays(coded.indices, coded.dictionary.cast(pa.string_view()))


PRICE_TYPES: dict[str, To] = {
    "dictionary": lambda values: pa.array(values).dictionary_encode(),
    "dictionary of decimals": lambda values: decimals(pa.decimal128(9, 2))(
        values
    ).dictionary_encode(),
    "dictionary of texts": lambda values: texts(pa.string())(values).dictionary_encode(),
    "dictionary of views": _views,
    "run ends": lambda values: pc.run_end_encode(pa.array(values)),
    "run ends of texts": lambda values: pc.run_end_encode(texts(pa.string())(values)),
    "decimal32": decimals(pa.decimal32(9, 2)),
    "decimal128": decimals(pa.decimal128(38, 18)),
    "decimal256": decimals(pa.decimal256(40, 2)),
    "large strings": texts(pa.large_string()),
    "halves": lambda values: pa.array(values.astype(np.float16)),
    "floats": lambda values: pa.array(values.astype(np.float32)),
}
TIME_TYPES: dict[str, tuple[pa.Array, np.ndarray]] = {
    "seconds": (pa.array(SECONDS, pa.timestamp("s")), TIME),
    "dictionary": (pa.array(SECONDS, pa.timestamp("s", "Asia/Tokyo")).dictionary_encode(), TIME),
    "run ends": (pc.run_end_encode(pa.array(SECONDS, pa.timestamp("s"))), TIME),
    "date32": (pa.array(DAYS), DAYS.astype("datetime64[ns]").astype(np.int64)),
    "large strings": (texts(pa.large_string())(SECONDS.astype("datetime64[s]")), TIME),
    "unsigned": (pa.array(SECONDS.astype(np.uint32)), TIME),
    "decimals of ns": (decimals(pa.decimal128(20, 0))(TIME + 7), TIME + 7),
    "decimals of s": (decimals(pa.decimal128(38, 18))(SECONDS + 0.001), TIME + MS),
    "float64 of s": (pa.array(SECONDS + 0.001), TIME + MS),
    "float64 of ms": (pa.array(SECONDS * 1e3 + 1), TIME + MS),
    "float64 of ns": (pa.array((TIME + MS).astype(np.float64)), TIME + MS),
    "texts of s": (pa.array([f"{one}.001000007" for one in SECONDS]), TIME + MS + 7),
    "texts by numpy": (pa.array([f"{one + 0.001:.18e}" for one in SECONDS]), TIME + MS),
}


def write(folder: Path, suffix: str, time: pa.Array, prices: dict[str, pa.Array]) -> Path:
    path, table = folder / f"bars.{suffix}", pa.table({"timestamp": time, **prices})
    if suffix == "parquet":
        pq.write_table(table, path)
    else:
        pa.feather.write_feather(table, path)
    return path


@pytest.mark.parametrize("suffix", ["parquet", "feather"])
@pytest.mark.parametrize("name", PRICE_TYPES)
def test_prices_of_every_type_are_the_same(tmp_path: Path, name: str, suffix: str) -> None:
    if suffix == "parquet" and any(kind in name for kind in ONLY_ARROW):
        pytest.skip("pyarrow can't write it")
    prices = {price: PRICE_TYPES[name](values) for price, values in PRICES.items()}
    bars = read_bars(write(tmp_path, suffix, pa.array(SECONDS), prices))
    np.testing.assert_array_equal(bars.prices, np.stack(list(PRICES.values()), axis=1))
    np.testing.assert_array_equal(bars.time, TIME)


@pytest.mark.parametrize("suffix", ["parquet", "feather"])
@pytest.mark.parametrize("name", TIME_TYPES)
def test_times_of_every_type_are_right_to_the_nanosecond(
    tmp_path: Path, name: str, suffix: str
) -> None:
    if suffix == "parquet" and any(kind in name for kind in ONLY_ARROW):
        pytest.skip("pyarrow can't write it")
    time, expected = TIME_TYPES[name]
    prices = {price: pa.array(values) for price, values in PRICES.items()}
    bars = read_bars(write(tmp_path, suffix, time, prices))
    np.testing.assert_array_equal(bars.time, expected)


@pytest.mark.parametrize("step_s", [60, 3600])
def test_unix_times_that_a_small_float_has_rounded_are_refused(tmp_path: Path, step_s: int) -> None:
    """It holds them to 128 s: bars of an hour rise still, at wrong times."""
    time = pa.array((SECONDS[0] + step_s * np.arange(4)).astype(np.float32))
    prices = {price: pa.array(values) for price, values in PRICES.items()}
    with pytest.raises(DataError, match="column timestamp: Unix times as float, which holds them"):
        read_bars(write(tmp_path, "parquet", time, prices))


@pytest.mark.parametrize("column", ["timestamp", "open"])
def test_nothing_in_a_dictionary_is_nothing(tmp_path: Path, column: str) -> None:
    columns = {"timestamp": pa.array(SECONDS, pa.timestamp("s")), **PRICES}
    values = pa.array([None, *pa.array(columns[column]).to_pylist()[1:]])
    columns[column] = pa.DictionaryArray.from_arrays(pa.array(np.arange(4)), values)
    path = write(tmp_path, "feather", columns.pop("timestamp"), columns)
    with pytest.raises(DataError, match=f"row 0, column {column}: expected a .* got nothing"):
        read_bars(path)
