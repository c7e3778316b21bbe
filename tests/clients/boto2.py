"""boto 2.49: a legacy client that speaks IMDSv1 only and knows no AWS_* switch."""
import boto

print(boto.connect_s3().provider.access_key)
