"""DynamoDB: a server of the crate dynoxide, which keeps conditions under concurrency, and tables as the function wants them.

    table = dynamodb.table()
    start(STATE_TABLE=table.name, AWS_ENDPOINT_URL_DYNAMODB=dynamodb.endpoint)
    table.items("j#0")                        # all items of a partition, in order
"""
import itertools
import subprocess

import boto3
from botocore.config import Config

from . import components
from .sqs import REGION


class Table:
    """One table of the state."""

    def __init__(self, client, name):
        self.client, self.name = client, name

    def items(self, partition):
        """Returns the items of a partition in the order of their sort keys, each as a dict of plain values."""
        pages = self.client.get_paginator("query").paginate(
            TableName=self.name, ConsistentRead=True, KeyConditionExpression="pk = :p",
            ExpressionAttributeValues={":p": {"S": partition}})
        return [{name: _plain(value) for name, value in item.items()} for page in pages for item in page["Items"]]

    def clear(self, partition):
        """Deletes all items of a partition."""
        for item in self.items(partition):
            self.client.delete_item(TableName=self.name, Key={key: {"S": item[key]} for key in ("pk", "sk")})

    def delete(self):
        self.client.delete_table(TableName=self.name)


def _plain(value):
    (kind, plain), = value.items()
    return int(plain) if kind == "N" else plain


class DynamoDb:
    """One server, for any number of tables."""

    def __init__(self):
        self._process = subprocess.Popen([components.dynamodb()], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.endpoint = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        self.client = boto3.client("dynamodb", endpoint_url=self.endpoint, region_name=REGION, aws_access_key_id="a",
                                   aws_secret_access_key="b", config=Config(retries={"total_max_attempts": 1}))
        self._numbers = itertools.count(1)

    def table(self, properties=None):
        """Creates an empty table with the keys of infra/sam/template.yaml, or with these properties of a template."""
        name = f"state-{next(self._numbers)}"
        self.client.create_table(TableName=name, **(properties or {
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]}))
        return Table(self.client, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
