# Lists the buckets of the S3 that was named: the key is in the request's signature.
s3=${S3_ENDPOINT#http://}
exec /usr/bin/s3cmd --host="$s3" --host-bucket="$s3" --no-ssl ls
