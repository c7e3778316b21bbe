"""DuckDB with its extensions httpfs and aws reads a file of S3. The secret's chain is the one of the AWS SDK for C++ that asks IMDS."""
import importlib
import os
import pathlib

import duckdb

database = duckdb.connect()
for name in ("httpfs", "aws"):
    folder = pathlib.Path(importlib.import_module(f"duckdb_extension_{name}").__file__).parent
    [file] = folder.glob(f"extensions/*/{name}.duckdb_extension")
    database.execute(f"LOAD '{file}'")
endpoint = os.environ["S3_ENDPOINT"].removeprefix("http://")
database.execute(
    f"CREATE SECRET (TYPE s3, PROVIDER credential_chain, CHAIN 'instance', ENDPOINT '{endpoint}', USE_SSL false, URL_STYLE 'path', REGION 'us-east-1')")
database.execute("SELECT content FROM read_text('s3://bucket/greeting')").fetchall()
