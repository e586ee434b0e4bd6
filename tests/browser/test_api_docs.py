"""The API's documentation works offline, under the strict policy, and calls the API as whoever is logged in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cdp.models import User


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_page_works_offline_without_a_refused_request(
    visit: Callable[..., Any], ada: User, width: int
) -> None:
    seen = visit(ada, "/api/v1/docs/", width=width)
    seen.page.wait_for_selector("text=Add a person")
    seen.page.click("text=Add a person")
    seen.page.wait_for_selector("text=A customer with consent", state="attached")
    assert seen.problems == []
    seen.page.click("#operations-Merging-listMerges")
    seen.page.click("#operations-Merging-listMerges >> text=Try it out")
    seen.page.click("#operations-Merging-listMerges >> text=Execute")
    seen.page.wait_for_selector("#operations-Merging-listMerges .responses-table.live-responses-table")
    assert '"results": []' in seen.page.inner_text("#operations-Merging-listMerges .live-responses-table")
    assert seen.problems == []
