"""Prints a SAM template in JSON, as CloudFormation gets it from SAM's transform: `transform.py FILE PARAMETERS`. The parameters
are JSON, too. Runs in tests/.env/infra, offline."""
import json
import os
import sys

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform


class NoManagedPolicies:
    """Knows no managed policies: the template uses none, and SAM would ask IAM for their names."""

    def load(self):
        return {}


os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")
with open(sys.argv[1]) as file:
    template = yaml_parse(file.read())
for resource in template["Resources"].values():
    if resource["Type"] == "AWS::Serverless::Function":
        resource["Properties"]["CodeUri"] = "s3://bucket/bootstrap.zip"  # `sam package` would set this value
# SAM's own resources refer to parameters; the transform inserts their values.
json.dump(transform(template, json.loads(sys.argv[2]), NoManagedPolicies()), sys.stdout)
