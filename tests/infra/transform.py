"""Prints a SAM template in JSON, as SAM's transform hands it to CloudFormation. Runs in tests/.env/infra, offline.

    transform.py FILE PARAMETERS, which are JSON
"""
import json
import os
import sys

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform


class NoManagedPolicies:
    """SAM would ask IAM for the names of managed policies. The template uses none."""

    def load(self):
        return {}


os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")
with open(sys.argv[1]) as file:
    template = yaml_parse(file.read())
for resource in template["Resources"].values():
    if resource["Type"] == "AWS::Serverless::Function":
        resource["Properties"]["CodeUri"] = "s3://bucket/bootstrap.zip"  # as `sam package` would set it
# The transform fills in the parameters that SAM's own resources refer to.
json.dump(transform(template, json.loads(sys.argv[2]), NoManagedPolicies()), sys.stdout)
