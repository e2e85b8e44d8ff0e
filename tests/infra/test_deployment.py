"""Holds SAM's template and the CDK construct against one table, promises.yaml: permissions, queues and their policies, event
source mapping, environment, timeouts, alarms, AWS IoT."""
import pytest

import templates
from promises import VARIANTS, differences, made, promised

variants = pytest.mark.parametrize("variant", VARIANTS)


@variants
def test_the_sam_template_matches_the_table(variant):
    assert differences(made(templates.sam(VARIANTS[variant]["sam"])), promised(variant)) == []


@variants
def test_the_cdk_construct_matches_the_table(variant):
    assert differences(made(templates.cdk(VARIANTS[variant]["cdk"])), promised(variant)) == []


def test_every_variant_of_the_construct_is_in_the_table():
    # One variant uses the workspace of another construct, which SAM cannot. It does not differ otherwise.
    assert set(templates.cdk_templates()) - {variant["cdk"] for variant in VARIANTS.values()} <= {"WorkspaceOfTheApp"}
