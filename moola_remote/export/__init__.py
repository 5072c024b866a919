"""Fetched runs for other programs: CSV, Parquet, TensorBoard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from moola_remote.export.tables import epochs_table, scores_table, spans_table

__all__ = ["epochs_table", "scores_table", "spans_table"]


def __getattr__(name: str) -> Any:
    """Import pyarrow when a table is asked for."""
    if name in __all__:
        from moola_remote.export import tables

        return getattr(tables, name)
    raise AttributeError(name)
