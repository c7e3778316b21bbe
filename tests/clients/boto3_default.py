"""boto3, current: the default chain, as a program that knows nothing of IMDS uses it."""
import boto3

print(boto3.Session().get_credentials().get_frozen_credentials().access_key)
