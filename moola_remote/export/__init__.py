"""Fetched runs for other programs: CSV, Parquet, TensorBoard."""
