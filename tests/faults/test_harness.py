"""What the faults rest on: nobody breaks a database or a broker beside somebody else who does."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("faults")]


def test_faults_run_one_after_the_other(request: pytest.FixtureRequest) -> None:
    # Set by pytest-xdist in its workers alone, where --dist loadgroup was asked for.
    if getattr(request.config.option, "loadgroup", False):
        assert request.node.nodeid.endswith("@faults"), "pytest-xdist keeps no groups together"
