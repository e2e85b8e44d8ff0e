"""Prints a SAM template as CloudFormation gets it from SAM's transform, in JSON: `transform.py FILE PARAMETERS`, these as JSON too.
Runs in tests/.env/infra, offline."""
import json
import os
import sys

from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform


class NoManagedPolicies:
    """The template uses none; SAM would ask IAM for their names."""

    def load(self):
        return {}


os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")
with open(sys.argv[1]) as file:
    template = yaml_parse(file.read())
for resource in template["Resources"].values():
    if resource["Type"] == "AWS::Serverless::Function":
        resource["Properties"]["CodeUri"] = "s3://bucket/bootstrap.zip"  # as `sam package` would set it
# The transform puts in the values of parameters where SAM's own resources refer to them.
json.dump(transform(template, json.loads(sys.argv[2]), NoManagedPolicies()), sys.stdout)
