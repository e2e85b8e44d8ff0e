"""A table for the state in moto's DynamoDB. moto's compare-and-swap is not atomic: tests with writers at the same time need another one."""
import uuid

import boto3

from .runtime_api import CREDENTIALS
from .sqs import REGION


def state_table(endpoint):
    """Makes an empty table behind `endpoint`, and returns the environment of a gateway that uses it."""
    client = boto3.client("dynamodb", endpoint_url=endpoint, region_name=REGION, aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
                          aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
    name = f"state-{uuid.uuid4().hex}"
    client.create_table(TableName=name, BillingMode="PAY_PER_REQUEST",
                        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
                        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}])
    return {"STATE_TABLE": name, "AWS_REGION": REGION, "AWS_ENDPOINT_URL_DYNAMODB": endpoint,
            **{key: value for key, value in CREDENTIALS.items() if key.startswith("AWS_")}}
