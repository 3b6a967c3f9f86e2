"""Amazon RDS as moto has it, with a subnet group. Prints its URL, and ends when its standard input does."""

import sys

import boto3
from moto.server import ThreadedMotoServer

region = sys.argv[1]
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
url = f"http://{host}:{port}"


def client(service):
    return boto3.client(
        service, region_name=region, endpoint_url=url, aws_access_key_id="test", aws_secret_access_key="test"
    )


subnets = [subnet["SubnetId"] for subnet in client("ec2").describe_subnets()["Subnets"]]
client("rds").create_db_subnet_group(
    DBSubnetGroupName=sys.argv[2], DBSubnetGroupDescription="tenants", SubnetIds=subnets
)
print(url, flush=True)
sys.stdin.read()
