"""Requests and answers that the API's description shows beside a call."""

from __future__ import annotations

from drf_spectacular.utils import OpenApiExample

CREATE_EXAMPLES = [
    OpenApiExample(
        "A customer with consent",
        request_only=True,
        value={
            "first_name": "Ann",
            "last_name": "Lee",
            "email": "ann@example.com",
            "country": "Poland",
            "identifiers": [{"type": "customer_id", "value": "C-1001"}],
            "tags": ["vip"],
            "consents": [{"channel": "email", "purpose": "newsletter", "state": "granted"}],
        },
    )
]
UPDATE_EXAMPLES = [
    OpenApiExample(
        "Change one field, clear another",
        request_only=True,
        value={"city": "Kraków", "phone": None, "version": 3},
    )
]
EVENT_EXAMPLES = [
    OpenApiExample(
        "A purchase",
        request_only=True,
        value={
            "name": "Order Completed",
            "occurred_at": "2026-05-01T12:00:00Z",
            "properties": {"order_id": "O-7", "price": 19.9},
        },
    )
]
CONSENT_EXAMPLES = [
    OpenApiExample(
        "A newsletter sign-up",
        request_only=True,
        value={"channel": "email", "purpose": "newsletter", "state": "granted", "wording": "2026-01"},
    )
]
RESOLVE_EXAMPLES = [
    OpenApiExample(
        "An e-mail and an old id",
        request_only=True,
        value={"identifiers": [{"type": "email", "value": "Ann@Example.com"}, {"id": 17}]},
    ),
    OpenApiExample(
        "Both resolve to one profile",
        response_only=True,
        status_codes=["200"],
        value={"results": [{"id": 12, "via": []}, {"id": 12, "via": [17]}]},
    ),
]
RESTORE_EXAMPLES = [
    OpenApiExample("Three people", request_only=True, value={"ids": [12, 17, 40]}),
    OpenApiExample("Everybody a job deleted", request_only=True, value={"job": 7}),
]
MERGE_EXAMPLES = [
    OpenApiExample(
        "Take the loser's first name",
        request_only=True,
        value={"loser_id": 17, "choices": {"first_name": "loser"}},
    )
]
