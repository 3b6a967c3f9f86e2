"""AWS KMS as moto has it, with two keys. Prints its URL and their ARNs, and ends when its standard input does."""

import sys

import boto3
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
url = f"http://{host}:{port}"
kms = boto3.client(
    "kms", region_name=sys.argv[1], endpoint_url=url, aws_access_key_id="test", aws_secret_access_key="test"
)
print(url, *(kms.create_key()["KeyMetadata"]["Arn"] for _ in range(2)), flush=True)
sys.stdin.read()
