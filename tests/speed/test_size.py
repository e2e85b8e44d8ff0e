"""What is deployed. The size of the file decides how long Lambda loads it."""
from measure import sizes


def test_the_zip_is_below_4_mb():
    assert sizes()[1] <= 4_000_000
