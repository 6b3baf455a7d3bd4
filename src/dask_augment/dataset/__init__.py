"""Partitioned Parquet that is published whole or not at all: schema, writing a part, receipts, commit, verify."""
