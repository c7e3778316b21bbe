"""polars reads a file of S3, by object_store's own chain of credentials."""
import os

import polars

polars.scan_csv(
    "s3://bucket/greeting", credential_provider=None, separator="\x1f", has_header=False,
    storage_options={"aws_endpoint_url": os.environ["S3_ENDPOINT"], "aws_allow_http": "true", "aws_region": "us-east-1", "max_retries": 1},
).collect()
