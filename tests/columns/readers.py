"""Reads the tables of bittrace with DuckDB, polars and pyarrow, and compares each with the NDJSON of the same captures.

    readers.py DIR MESSAGES.arrows ALL.json

DIR is what --format parquet wrote, MESSAGES.arrows what --format arrow did. Prints what was compared, and fails at the first
difference.
"""

import json
import sys
from datetime import datetime, timedelta, timezone

import duckdb
import polars
import pyarrow.dataset
import pyarrow.ipc

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def nanoseconds(text):
    """RFC 3339 as nanoseconds since 1970."""
    seconds, fraction = text.rstrip("Z").split(".")
    whole = datetime.fromisoformat(seconds).replace(tzinfo=timezone.utc) - EPOCH
    return (whole.days * 86400 + whole.seconds) * 10**9 + int(fraction.ljust(9, "0"))


def expected(message):
    """What the columns of a message are to be."""
    wireshark = message["wireshark"]
    nanos = nanoseconds(message["time"])
    return {
        "capture": message["capture"],
        "n": message["n_in_capture"],
        "time": EPOCH + timedelta(microseconds=nanos // 1000),
        "time_ns": nanos,
        "frame": wireshark["frame"],
        "frames": message["frames"],
        "ws_stream": wireshark["stream"],
        "protocol": message["protocol"],
        "message": message["message"],
        "offset": message["offset"],
        "length": message["length"],
        "summary": message["summary"],
        "client": message.get("client"),
        "torrent": message.get("torrent"),
        "rules": [note["rule"] for note in message["notes"]],
    }


def row_of(row):
    """The same of a row that a library gave."""
    row = dict(row)
    row["rules"] = [note["rule"] for note in row["notes"]]
    row["frames"] = list(row["frames"])
    if isinstance(row["time"], int):
        row["time"] = EPOCH + timedelta(microseconds=row["time"])
    row["time"] = row["time"].astimezone(timezone.utc)
    return row


def compare(reader, rows, messages):
    rows = [row_of(row) for row in rows]
    rows.sort(key=lambda row: (row["capture"], row["n"]))
    if len(rows) != len(messages):
        sys.exit(f"{reader}: {len(rows)} rows, {len(messages)} messages")
    for row, message in zip(rows, messages):
        for column, value in message.items():
            if row[column] != value:
                sys.exit(f"{reader}: {column} is {row[column]!r}, not {value!r}, in {message}")
    print(f"{reader}: {len(rows)} messages")


def main():
    folder, stream, ndjson = sys.argv[1:]
    with open(ndjson, encoding="utf-8") as lines:
        objects = [json.loads(line) for line in lines]
    messages = sorted((expected(one) for one in objects if "n" in one), key=lambda one: (one["capture"], one["n"]))
    rules = {}
    for message in messages:
        for rule in message["rules"]:
            rules[rule] = rules.get(rule, 0) + 1
    parts = f"{folder}/messages/*.parquet"

    duck = duckdb.connect()
    # As a number: DuckDB needs another package for moments of Python.
    found = duck.execute(f"select * replace (epoch_us(time) as time) from '{parts}'")
    names = [column[0] for column in found.description]
    compare("duckdb: parquet", [dict(zip(names, row)) for row in found.fetchall()], messages)
    found = duck.execute(
        f"select rule, count(*) from (select unnest(notes).rule as rule from '{parts}') group by 1"
    ).fetchall()
    if dict(found) != rules:
        sys.exit(f"duckdb: rules are {dict(found)}, not {rules}")
    print(f"duckdb: {len(rules)} rules by unnest")

    compare("polars: parquet", polars.read_parquet(parts).to_dicts(), messages)
    compare("polars: stream", polars.read_ipc_stream(stream).to_dicts(), messages)

    table = pyarrow.dataset.dataset(f"{folder}/messages", format="parquet").to_table()
    compare("pyarrow: parquet", table.to_pylist(), messages)
    with pyarrow.ipc.open_stream(stream) as reader:
        table = reader.read_all()
    compare("pyarrow: stream", table.to_pylist(), messages)
    for name, key in [("conversations", "conversation"), ("pieces", "piece"), ("findings", "finding"), ("captures", "capture")]:
        wanted = sum(isinstance(one.get(key), dict) for one in objects)
        path = f"{folder}/{name}/*.parquet"
        counts = {
            "duckdb": duck.execute(f"select count(*) from '{path}'").fetchone()[0],
            "polars": polars.read_parquet(path).height,
            "pyarrow": pyarrow.dataset.dataset(f"{folder}/{name}", format="parquet").count_rows(),
        }
        for reader, count in counts.items():
            if count != wanted:
                sys.exit(f"{reader}: {count} {name}, not {wanted}")
        print(f"duckdb, polars, pyarrow: {wanted} {name}")


main()
