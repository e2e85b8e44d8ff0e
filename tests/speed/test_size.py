"""Limits the size of the deployed file, which decides how long Lambda loads it."""
import os

import pytest

from measure import sizes


@pytest.mark.parametrize("arch", os.environ.get("PACKAGED", "x86_64 arm64").split())
def test_the_zip_is_at_most_3_5_mb(arch):
    _, zips = sizes()
    name = f"ingest-{arch}.zip"
    assert name in zips, "not packaged: run infra/package"
    assert zips[name] <= 3_500_000
