# Lists the buckets of the S3 that was named: the key is in the request's signature. $1 is the AWS CLI.
exec "$1" --endpoint-url "$S3_ENDPOINT" s3 ls
