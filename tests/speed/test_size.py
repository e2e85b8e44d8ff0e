"""Limits the size of the deployed file, which decides how long Lambda loads it."""
import pytest

from measure import sizes


@pytest.mark.parametrize("name", ["ingest-arm64.zip", "ingest-x86_64.zip"])
def test_the_zip_is_below_4_mb(name):
    _, zips = sizes()
    assert name in zips, "not packaged: run infra/package"
    assert zips[name] <= 4_000_000
