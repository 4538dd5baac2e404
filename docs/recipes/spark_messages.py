"""The messages of many captures as Parquet, with Spark.

    python spark_messages.py path OUT CAPTURE...       captures on a disk that all workers share
    python spark_messages.py content OUT FOLDER...     captures of an object store or HDFS: Spark reads them

A task takes one capture after the other, runs `bittrace analyze --format arrow` on it, and hands on each batch as it
comes. The messages go to OUT/table=messages, and a row a capture with the exit code to OUT/table=captures: a capture that
cannot be read is a row there, never a failed job. Spark commits the rows of a task once, however often the task ran.
"""

import os
import subprocess
import sys
import tempfile
import threading

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

BITTRACE = os.environ.get("BITTRACE", "bittrace")

# The head of a pcap file: version 2.4, up to 262,144 bytes a packet, Ethernet; no packets.
EMPTY_CAPTURE = bytes.fromhex("d4c3b2a1 0200 0400 00000000 00000000 00000400 01000000")


def start(arguments, errors):
    return subprocess.Popen(
        [BITTRACE, "analyze", *arguments, "--format", "arrow"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
    )


def feed(bittrace, content):
    """Gives bittrace its standard input. It may stop reading before the end."""
    try:
        bittrace.stdin.write(content)
        bittrace.stdin.close()
    except BrokenPipeError:
        pass


def rows_of(capture, arguments, content, schema):
    """The messages of a capture, batch by batch, then the row that ends it."""
    with tempfile.TemporaryFile() as errors:
        bittrace = start(arguments, errors)
        feeder = threading.Thread(target=feed, args=(bittrace, content))
        feeder.start()
        try:
            for batch in pa.ipc.open_stream(bittrace.stdout):
                columns = dict(zip(batch.schema.names, batch.columns))
                yield filled(schema, batch.num_rows, {**columns, "table": ["messages"] * batch.num_rows})
        except pa.ArrowInvalid:
            pass  # The stream ends too early. The exit code says why.
        bittrace.stdout.close()
        feeder.join()
        code = bittrace.wait()
        errors.seek(0)
        error = errors.read().decode(errors="replace").strip() or None
    yield filled(schema, 1, {"capture": [capture], "exit": [code], "error": [error], "table": ["captures"]})


def filled(schema, rows, columns):
    """A batch with all columns of the schema. Those that are not given are null."""
    arrays = []
    for field in schema:
        values = columns.get(field.name)
        if values is None:
            arrays.append(pa.nulls(rows, field.type))
        elif isinstance(values, pa.Array):
            arrays.append(values.cast(field.type))
        else:
            arrays.append(pa.array(values, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def schema_of_rows():
    """The columns of messages, then those of the row that ends a capture. Spark has no dictionaries: a dictionary
    becomes the texts that it stands for."""
    with tempfile.TemporaryFile() as errors:
        bittrace = start(["-"], errors)
        output, _ = bittrace.communicate(EMPTY_CAPTURE)
    fields = [
        pa.field(field.name, field.type.value_type if pa.types.is_dictionary(field.type) else field.type)
        for field in pa.ipc.open_stream(output).schema
    ]
    ending = [("exit", pa.int64()), ("error", pa.string()), ("table", pa.string())]
    return pa.schema(fields + [pa.field(*column) for column in ending])


def by_path(spark, captures, schema):
    """Rows of captures that bittrace opens itself."""

    def analyze(batches):
        for batch in batches:
            for capture in batch.column("path").to_pylist():
                yield from rows_of(capture, [capture], b"", schema)

    return paths(spark, captures).mapInArrow(analyze, from_arrow_schema(schema))


def by_content(spark, folders, schema):
    """Rows of captures that Spark reads: 2 GiB each at most."""

    def analyze(batches):
        for batch in batches:
            for capture, content in zip(batch.column("path").to_pylist(), batch.column("content").to_pylist()):
                yield from rows_of(capture, ["-", "--name", capture], content, schema)

    files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(folders)
    return files.select("path", "content").mapInArrow(analyze, from_arrow_schema(schema))


def empty_files(spark, folders, schema):
    """Rows of the empty files: Spark's reader of whole files passes them over, and they are no captures."""
    jvm, rows = spark.sparkContext._jvm, []
    for folder in folders:
        path = jvm.org.apache.hadoop.fs.Path(folder)
        files = path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration()).listFiles(path, True)
        while files.hasNext():
            file = files.next()
            if file.getLen() == 0:
                rows.append(filled(schema, 1, {
                    "capture": [file.getPath().toString()], "exit": [2], "error": ["the file is empty"],
                    "table": ["captures"],
                }))
    return spark.createDataFrame(pa.Table.from_batches(rows, schema), from_arrow_schema(schema))


def paths(spark, captures):
    """The names of captures, in as many tasks as there are eight captures."""
    tasks = max(1, min(len(captures) // 8, 10_000))
    return spark.createDataFrame([(capture,) for capture in captures], "path string").repartition(tasks)


def main(how, out, *places):
    spark = SparkSession.builder.appName("bittrace").getOrCreate()
    schema = schema_of_rows()
    if how == "path":
        rows = by_path(spark, places, schema)
    else:
        rows = by_content(spark, list(places), schema).unionByName(empty_files(spark, list(places), schema))
    rows.write.mode("overwrite").option("compression", "zstd").partitionBy("table").parquet(out)
    spark.stop()


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[1] not in ("path", "content"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
