"""chdb (ClickHouse in a process) reads a file of S3."""
import os

import chdb

print(chdb.query(f"SELECT * FROM s3('{os.environ['S3_ENDPOINT']}/bucket/greeting', 'LineAsString')"))
