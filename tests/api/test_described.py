"""The check of answers against the description finds what it is there to find."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.http import JsonResponse

from tests.api.caller import Caller
from tests.api.described import check_answer, description

TAG = {
    "id": 1,
    "name": "vip",
    "color": "gray",
    "description": "",
    "people": 0,
    "created_at": "2026-05-01T12:00:00Z",
}


def check(data: Any, *, status: int = 200, media_type: str = "application/json", method: str = "GET") -> None:
    answer: Any = JsonResponse(data, status=status, content_type=media_type)
    check_answer(method, "/api/v1/tags/1/", answer, data)


def test_the_description_is_the_one_that_clients_get(stranger: Caller) -> None:
    assert stranger.get("schema/").data["components"] == description()["components"]


def test_a_described_answer_passes_with_and_without_a_dry_run() -> None:
    check(TAG)
    check({**TAG, "dry_run": True, "effects": [{"kind": "webhook", "topic": "x"}]}, method="PATCH")
    check({"dry_run": True, "effects": []}, method="DELETE")


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ({**TAG, "size": 3}, {}, "Additional properties are not allowed ('size' was unexpected)"),
        ({key: TAG[key] for key in TAG if key != "people"}, {}, '"people" is a required property'),
        ({**TAG, "people": "3"}, {}, '/people "3" is not of type "integer"'),
        ({**TAG, "created_at": "yesterday"}, {}, '/created_at "yesterday" is not a "date-time"'),
        ({**TAG, "name": None}, {}, '/name null is not of type "string"'),
        ({**TAG, "dry_run": True}, {}, "'dry_run' was unexpected"),
        (TAG, {"status": 202}, "GET /api/v1/tags/{}/ answers 202, which is not described"),
        (TAG, {"media_type": "text/html"}, "GET /api/v1/tags/{}/ answers text/html; described: "),
        (TAG, {"method": "PUT"}, "PUT /api/v1/tags/{}/ is not described"),
        (
            {"detail": "Gone."},
            {"status": 404, "media_type": "application/problem+json"},
            '"code" is a required',
        ),
    ],
)
def test_what_differs_is_named(data: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(message)):
        check(data, **options)
