"""The five commonest findings, and the captures that could not be read, out of the tables in out/, with polars."""

import sys

import polars as pl

rules = (
    pl.scan_parquet("out/messages/*.parquet")
    .select(pl.col("notes").explode().struct.unnest())
    .filter(pl.col("severity") != "chat")
    .group_by("rule")
    .agg(pl.len().alias("count"))
    .sort(["count", "rule"], descending=[True, False])
    .head(5)
)
unread = (
    pl.scan_parquet("out/captures/*.parquet")
    .filter(~pl.col("ok"))
    .select("capture", "exit")
    .sort("capture")
)
for table in (rules, unread):
    sys.stdout.write(table.collect().write_csv())
