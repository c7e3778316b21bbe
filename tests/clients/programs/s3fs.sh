# Mounts a bucket of the S3 that was named and lists it: the key is in the requests' signatures. One try, not the five of
# the default, which take two minutes.
folder=$PWD/mounted
mkdir -p "$folder"
s3fs bucket "$folder" -o iam_role=auto -o url="$S3_ENDPOINT" -o use_path_request_style -o retries=1
ls "$folder" | grep greeting
listed=$?
umount --lazy "$folder" 2>/dev/null
exit $listed
