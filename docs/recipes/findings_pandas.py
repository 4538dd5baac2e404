"""The five commonest findings, and the captures that could not be read, out of the tables in out/, with pandas."""

import sys

import pandas as pd

notes = pd.read_parquet("out/messages", columns=["notes"])["notes"].explode().dropna()
rules = notes.map(lambda note: note["rule"] if note["severity"] != "chat" else None).value_counts().rename_axis("rule").reset_index(name="count")
rules = rules.sort_values(["count", "rule"], ascending=[False, True]).head(5)
captures = pd.read_parquet("out/captures", columns=["capture", "ok", "exit"])
unread = captures.loc[~captures["ok"], ["capture", "exit"]].sort_values("capture")
for table in (rules, unread):
    table.to_csv(sys.stdout, index=False)
