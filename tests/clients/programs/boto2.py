"""boto 2.49: a legacy client that speaks IMDSv1 only and knows no AWS_* switch."""
import datetime

import boto

import answers

provider = None


def read(_):
    global provider
    provider = provider or boto.connect_s3().provider
    key = provider.access_key
    return key, provider._credential_expiry_time.replace(tzinfo=datetime.timezone.utc)


answers.answer(read)
