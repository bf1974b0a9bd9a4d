"""Which roles one machine runs."""

import pytest

from node.cli.supervisor import roles
from node.settings import Settings

RIS = {"name": "ris", "roles": ["orders"], "feed": {"application": "RIS"}}


@pytest.mark.parametrize("enabled", [True, False])
def test_the_role_that_hears_a_feed_runs_where_it_is_enabled(enabled: bool) -> None:
    settings = Settings.model_validate({
        "node": {"data": "/data"},
        "peer": [RIS],
        "hl7": {"enabled": enabled},
        "inference": {"server": "in-process"},
    })
    assert ("hl7" in map(str, roles(settings))) == enabled
