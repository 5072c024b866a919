"""Names of columns of bars, normalised, the best first; languages with what they were read from."""

from __future__ import annotations

PRICES = ("open", "high", "low", "close")

PRICE_NAMES = {
    "open": (
        *("open", "o", "open_price", "price_open", "first", "mid.o", "openprice", "px_open"),
        "otwarcie",  # stooq.pl, CSV of daily and hourly bars, 2014 to 2026
        *("erster", "eröffnung"),  # ariva.de, historical prices
        # Investing.com: French, Spanish and Italian, Portuguese, German
        *("ouv.", "apertura", "abertura", "eröffn."),
        *("开盘", "开盘价", "始値"),  # AKShare 1.18; Japanese, as Kabutan and Investing.com have it
    ),
    "high": (
        *("high", "h", "high_price", "price_high", "max", "mid.h", "highprice", "px_high"),
        *("najwyzszy", "hoch", "plus_haut", "máximo", "massimo", "máxima"),
        *("最高", "最高价", "高値"),
    ),
    "low": (
        *("low", "l", "low_price", "price_low", "min", "mid.l", "lowprice", "px_low"),
        *("najnizszy", "tief", "plus_bas", "mínimo", "minimo", "mínima"),
        *("最低", "最低价", "安値"),
    ),
    "close": (
        *("close", "c", "close_price", "price_close", "last", "price", "close/last", "mid.c"),
        *("latest", "closeprice", "px_last", "last_price"),  # Barchart, Bybit, Bloomberg
        *("zamkniecie", "schlusskurs", "schluss", "dernier", "último", "ultimo", "zuletzt"),
        *("收盘", "收盘价", "終値"),
    ),
}
# Of exports in languages that write a comma for decimals.
COMMA_NAMES = frozenset(
    ("otwarcie", "erster", "eröffnung", "eröffn.", "ouv.", "apertura", "abertura")
)
# Names of the column of times.
TIME_NAMES = (
    # These say of themselves which time they are.
    *("open_time", "opentime", "timeopen", "window_start"),
    *("timestamp", "time", "datetime", "date_time", "date/time", "date"),
    *("ts_event", "ts", "mts", "t", "unix", "unix_timestamp", "unix_time"),
    *("gmt_time", "local_time", "time_(utc)", "time_(eet)", "time_(est)", "bar_time", "timestamps"),
    *("start_time", "start", "begin", "period_start", "time_period_start", "open_timestamp"),
    "_time",  # InfluxDB, beside _start and _stop of the query
)
# Where their values are times.
FOREIGN_TIME_NAMES = ("datum", "zeit", "data", "fecha", "日期", "时间", "日付", "日時")
END_NAMES = ("close_time", "closetime", "end_time", "period_end", "time_period_end", "bar_end")
# A day and, beside it, a time of day.
DAY_AND_CLOCK = (
    *(("date", "time"), ("day", "time"), ("datum", "uhrzeit"), ("datum", "zeit"), ("data", "czas")),
    ("fecha", "hora"),
    ("dtyyyymmdd", "time"),  # ASCII of MetaStock, as Forex Tester has it
)
# An index without a name: CSV of pandas, Parquet of pandas, reset_index of pandas, polars.
INDEX_NAMES = ("", "_index_level_0_", "index", "unnamed:_0")
SYMBOL_NAMES = ("symbol", "ticker", "instrument_id", "tic", "name", "instrument", "pair")
