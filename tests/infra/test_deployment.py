"""SAM's template and the CDK construct against one table, deployment.yaml: permissions, queues and their policies, event source
mapping, environment, timeouts, alarms, AWS IoT."""
import pytest

import templates
from deployment import VARIANTS, described, differences, expected

variants = pytest.mark.parametrize("variant", VARIANTS)


@variants
def test_the_sam_template_matches_the_table(variant):
    assert differences(described(templates.sam(VARIANTS[variant]["sam"])), expected(variant)) == []


@variants
def test_the_cdk_construct_matches_the_table(variant):
    assert differences(described(templates.cdk(VARIANTS[variant]["cdk"])), expected(variant)) == []


def test_every_variant_of_the_construct_is_in_the_table():
    # One has a workspace that is another construct's: SAM has no such thing, and it differs in nothing else. test_extension.py has others.
    others = {"WorkspaceOfTheApp", "Telemetry", "TelemetryByDoor", "TelemetryChosen"}
    assert set(templates.cdk_templates()) - {variant["cdk"] for variant in VARIANTS.values()} <= others
