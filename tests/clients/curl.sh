# What scripts do: a token, the role's name, the document.
set -eu
imds=http://169.254.169.254/latest
token=$(curl -sf -X PUT "$imds/api/token" -H 'X-aws-ec2-metadata-token-ttl-seconds: 60')
role=$(curl -sf -H "X-aws-ec2-metadata-token: $token" "$imds/meta-data/iam/security-credentials/")
curl -sf -H "X-aws-ec2-metadata-token: $token" "$imds/meta-data/iam/security-credentials/$role" |
    sed -n 's/.*"AccessKeyId" : "\(.*\)".*/\1/p'
