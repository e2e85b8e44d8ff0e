"""Prints SAM templates in JSON, as SAM's transform hands them to CloudFormation. Runs in tests/.env/infra, offline.

Each line of the input is a list in JSON: a file, and the parameters. Each line of the output is a template, or the text of an
error. Loading SAM takes seconds, so one process transforms all templates of a test run.
"""
import json
import logging
import os
import sys

from samcli.yamlhelper import yaml_parse
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.translator.transform import transform


class NoManagedPolicies:
    """SAM would ask IAM for the names of managed policies. The template uses none."""

    def load(self):
        return {}


def transformed(file, parameters):
    with open(file) as opened:
        template = yaml_parse(opened.read())
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/bootstrap.zip"  # as `sam package` would set it
    # The transform fills in the parameters that SAM's own resources refer to.
    try:
        return transform(template, parameters, NoManagedPolicies())
    except InvalidDocumentException as error:
        return f"{error.message} {[cause.message for cause in error.causes]}"


logging.disable(logging.WARNING)  # SAM warns about telemetry of its own
os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")
for line in sys.stdin:
    print(json.dumps(transformed(*json.loads(line))), flush=True)
