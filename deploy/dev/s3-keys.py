"""Makes a key for each list of buckets on moto's S3 server, and has it check signatures from then on.

    .dev/s3/bin/python deploy/dev/s3-keys.py http://127.0.0.1:PORT BUCKET,BUCKET... BUCKET...

Prints a line with id and secret for each. A key may do everything with its buckets, and nothing with others.
"""

import json
import sys
import urllib.request

import boto3

url, *groups = sys.argv[1:]
anybody = {"endpoint_url": url, "region_name": "us-east-1", "aws_access_key_id": "setup", "aws_secret_access_key": "setup"}
iam, s3 = boto3.client("iam", **anybody), boto3.client("s3", **anybody)
for group in groups:
    resources = [f"arn:aws:s3:::{bucket}{rest}" for bucket in group.split(",") for rest in ("", "/*")]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": resources}]}
    for bucket in group.split(","):
        s3.create_bucket(Bucket=bucket)
    iam.create_user(UserName=group.replace(",", "-"))
    iam.put_user_policy(UserName=group.replace(",", "-"), PolicyName="buckets", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=group.replace(",", "-"))["AccessKey"]
    print(key["AccessKeyId"], key["SecretAccessKey"])
request = urllib.request.Request(f"{url}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"}, method="POST")
urllib.request.urlopen(request).read()
