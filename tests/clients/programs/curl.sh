# What scripts do: a token, the role's name, the document.
set -eu
imds=http://169.254.169.254/latest
token=$(curl -sf -X PUT "$imds/api/token" -H 'X-aws-ec2-metadata-token-ttl-seconds: 60')
role=$(curl -sf -H "X-aws-ec2-metadata-token: $token" "$imds/meta-data/iam/security-credentials/")
document=$(curl -sf -H "X-aws-ec2-metadata-token: $token" "$imds/meta-data/iam/security-credentials/$role")
field() { echo "$document" | sed -n "s/.*\"$1\" : \"\(.*\)\".*/\1/p"; }
echo "$(field AccessKeyId) $(date -d "$(field Expiration)" +%s)"
