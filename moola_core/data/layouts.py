"""The layouts that bars come in: which column is what, in which zone, stamped at which end.

A file with a header is recognised by the names in it (`HEADED`), one without by the number of its
columns and the kind of its first values (`BARE`); `moola_core.data.layout_choice` decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Stamp = Literal["open", "close"]
HISTDATA_ZONE = "Etc/GMT+5"  # EST without summer time, in each of its formats


@dataclass(frozen=True)
class Layout:
    """One source's way to write bars.

    Attributes:
        name: as in ``--layout``.
        needs: normalised names that its header holds; empty for a layout without a header.
        columns: of a layout without a header, the meaning of each column in order.
        time: the column of times, or a day and a time of day; empty: by the usual names.
        zone: of times that have none of their own; None if the source does not fix it.
        stamp: whether the time is that of the bar's open or of its close.
        fixed_point: what whole prices are divided by; 0 where they are as they stand.
        of_day: times are milliseconds of the day in the file's name.
        source: what it was read from.
        any_of: at least one of these names must be there too.
    """

    name: str
    needs: frozenset[str] = frozenset()
    columns: tuple[str, ...] = ()
    time: tuple[str, ...] = ()
    zone: str | None = None
    stamp: Stamp = "open"
    fixed_point: float = 0.0
    of_day: bool = False
    source: str = ""
    any_of: frozenset[str] = frozenset()


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _columns(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_OHLC = "open high low close"

# With a header; the more particular ones first.
HEADED = (
    Layout(
        "klines",
        _names(f"open_time {_OHLC} close_time"),
        time=("open_time",),
        zone="UTC",
        source="binance-public-data README, 2025-01 (spot in microseconds from 2025 on)",
    ),
    Layout(
        "databento",
        _names(f"ts_event {_OHLC}"),
        time=("ts_event",),
        zone="UTC",
        fixed_point=1e9,
        source="databento 0.70: DBNStore.to_csv, to_parquet, to_df of OHLCV schemas",
    ),
    Layout(
        "massive",
        _names(f"ticker window_start {_OHLC}"),
        time=("window_start",),
        zone="UTC",
        source="Polygon/Massive flat files, minute aggregates, 2025",
    ),
    Layout(
        "massive-api",
        _names("t o h l c"),
        time=("t",),
        zone="UTC",
        source="Polygon/Massive REST aggregates, v2",
    ),
    Layout(
        "bitfinex",
        _names(f"mts {_OHLC}"),
        time=("mts",),
        zone="UTC",
        source="Bitfinex REST v2, candles",
    ),
    Layout(
        "bitmex",
        _names(f"timestamp {_OHLC} homenotional foreignnotional"),
        time=("timestamp",),
        zone="UTC",
        stamp="close",
        source="BitMEX REST, trade/bucketed: the timestamp is the end of the bucket",
    ),
    Layout(
        "cryptodatadownload",
        _names(f"unix date symbol {_OHLC}"),
        time=("unix",),
        zone="UTC",
        source="CryptoDataDownload CSV, 2024, newest first below a line with its address",
    ),
    Layout(
        "metatrader5-python",
        _names(f"time {_OHLC} tick_volume"),
        time=("time",),
        zone=None,
        source="MetaTrader5 5.0.45, copy_rates_range: server time counted as if it were UTC",
    ),
    Layout(
        "stooq",
        _names(f"per date time {_OHLC}"),
        time=("date", "time"),
        zone=None,
        source="stooq.com database, ASCII files, 2024",
    ),
    Layout(
        "stooq-pl",
        _names("data otwarcie najwyzszy najnizszy zamkniecie"),
        zone=None,
        source="stooq.pl, CSV behind a chart, daily (Data) and of hours (Data, Czas), 2014 to 2026",
    ),
    Layout(
        "metatrader5",
        _names(f"date time {_OHLC} tickvol"),
        time=("date", "time"),
        zone=None,
        source="MetaTrader 5 build 4150, Symbols > Bars > Export: server time",
    ),
    Layout(
        "tradestation",
        _names(f"date time {_OHLC} up down"),
        time=("date", "time"),
        zone=None,
        stamp="close",
        source="TradeStation 10 help, ASCII data: Time is the closing time of the bar",
    ),
    Layout(
        "metatrader5-days",
        _names(f"date {_OHLC} tickvol"),
        time=("date",),
        zone=None,
        source="the same, daily bars",
    ),
    Layout(
        "dukascopy",
        _names(f"gmt_time {_OHLC}"),
        time=("gmt_time",),
        zone="UTC",
        source="Dukascopy historical data feed, JForex 4, 2024",
    ),
    Layout(
        "dukascopy-utc",
        _names(f"time_(utc) {_OHLC}"),
        time=("time_(utc)",),
        zone="UTC",
        source="JForex 4, historical data manager",
    ),
    Layout(
        "dukascopy-eet",
        _names(f"time_(eet) {_OHLC}"),
        time=("time_(eet)",),
        zone="EET",
        source="JForex 4, historical data manager",
    ),
    Layout(
        "dukascopy-local",
        _names(f"local_time {_OHLC}"),
        time=("local_time",),
        zone=None,
        source="Dukascopy historical data feed: the offset stands behind each time",
    ),
    Layout(
        "interactive-brokers",
        _names(f"date {_OHLC} average barcount"),
        time=("date",),
        zone=None,
        source="ib_async 2.0, util.df(bars); TWS API reqHistoricalData",
    ),
    Layout(
        "yfinance",
        _names(f"datetime {_OHLC}"),
        time=("datetime",),
        zone="UTC",
        any_of=_names("adj_close dividends stock_splits capital_gains"),
        source="yfinance 0.2 to 1.0, Ticker.history and download",
    ),
    Layout(
        "yfinance-days",
        _names(f"date {_OHLC}"),
        time=("date",),
        zone="UTC",
        any_of=_names("adj_close dividends stock_splits capital_gains"),
        source="yfinance 0.2 to 1.0, daily bars",
    ),
)
# Without a header.
BARE = (
    Layout(
        "klines",
        columns=_columns(f"time {_OHLC} _ _ _ _ _ _ _"),
        zone="UTC",
        source="binance-public-data README, 2025-01 (ms; spot in microseconds from 2025 on)",
    ),
    Layout(
        "kraken-api",
        columns=_columns(f"time {_OHLC} _ _ _"),
        zone="UTC",
        source="Kraken REST, GetOHLCData",
    ),
    Layout(
        "kraken",
        columns=_columns(f"time {_OHLC} _ _"),
        zone="UTC",
        source="Kraken, downloadable historical OHLCVT data, 2024",
    ),
    Layout(
        "metatrader4",
        columns=_columns(f"day clock {_OHLC} _"),
        zone=None,
        source="MetaTrader 4, History Center > Export; HistData's format for it",
    ),
    Layout(
        "bitfinex",
        columns=_columns("time open close high low _"),
        zone="UTC",
        source="Bitfinex REST v2, candles: MTS, OPEN, CLOSE, HIGH, LOW, VOLUME",
    ),
    Layout(
        "coinbase",
        columns=_columns("time low high open close _"),
        zone="UTC",
        source="Coinbase Exchange REST, candles, as ccxt 4.5.90 parses them",
    ),
    Layout(
        "kucoin",
        columns=_columns("time open close high low _ _"),
        zone="UTC",
        source="KuCoin REST, klines, as ccxt 4.5.90 parses them",
    ),
    Layout(
        "lean",
        columns=_columns(f"time {_OHLC} _"),
        fixed_point=1e4,
        of_day=True,
        source="QuantConnect Lean, Data/equity: trades of minutes and seconds, 20240102_trade.zip",
    ),
    Layout(
        "lean-quote",
        columns=_columns(f"time {_OHLC} _ _ _ _ _ _"),
        fixed_point=1e4,
        of_day=True,
        source="the same, quotes: the bids, beside asks",
    ),
    Layout("ccxt", columns=_columns(f"time {_OHLC} _"), zone="UTC", source="ccxt 4, fetch_ohlcv"),
    Layout(
        "histdata",
        columns=_columns(f"time {_OHLC} _"),
        zone=HISTDATA_ZONE,
        source="HistData.com, Generic ASCII, 1 minute bars: EST without summer time",
    ),
    Layout(
        "ninjatrader",
        columns=_columns(f"time {_OHLC} _"),
        zone=None,
        stamp="close",
        source="NinjaTrader 8 help, Importing historical data: time stamp at the bar's end",
    ),
)
TRADINGVIEW = Layout(
    "tradingview",
    source="TradingView, Export chart data, 2025: time first, Unix or ISO, then the prices",
)
YFINANCE = Layout("yfinance", zone="UTC", source="yfinance 1.7, download().to_csv: 3 header rows")
TABLE = Layout("table", source="a table with names like open, high, low, close and a time")
BARE_TABLE = Layout("table", source="a time or none, then open, high, low, close")
NAMES = tuple(dict.fromkeys(one.name for one in (*HEADED, TRADINGVIEW, *BARE, TABLE)))
