"""The five commonest findings, and the captures that could not be read, out of what spark_messages.py wrote.

    python spark_findings.py OUT
"""

import csv
import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as f

spark = SparkSession.builder.appName("findings").getOrCreate()
rows = spark.read.parquet(sys.argv[1])
rules = (
    rows.where("table = 'messages'")
    .select(f.explode("notes").alias("note")).select("note.*")
    .where("severity <> 'chat'")
    .groupBy("rule").count()
    .orderBy(f.desc("count"), "rule").limit(5)
)
unread = rows.where("table = 'captures' and exit <> 0").select("capture", "exit").orderBy("capture")
for table in (rules, unread):
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(table.collect())
spark.stop()
