"""The calls of docs/migrating.md, run as they stand there."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.test import Client

from cdp.actors import Actor
from profiles.identity.lookup import find_profile
from profiles.models import Consent, Receipt
from profiles.tracking.sources.sources import create_source
from tests.api.caller import Caller
from tests.tracking.calls import events_of

pytestmark = pytest.mark.django_db

TEXT = (settings.BASE_DIR / "docs" / "migrating.md").read_text()
SECTIONS = dict(re.findall(r"^## From (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S))
CALLS = {title: re.findall(r"```http\nPOST (\S+)\n(.*?)```", body, re.S) for title, body in SECTIONS.items()}


@pytest.fixture
def run(client: Client, with_scopes: Callable[..., Caller]) -> Callable[[str], None]:
    """Every call of a section, each taken whole."""
    key = create_source(name="Shop", kind="server", actor=Actor.system()).write_key
    api = with_scopes("all")

    def go(title: str) -> None:
        assert CALLS[title]
        for path, body in CALLS[title]:
            if path.startswith("/api/v1/"):
                answer = api.post(path, body.encode())
                assert answer.status_code in (200, 201), (path, answer.content)
                continue
            answer = client.generic(
                "POST",
                f"{path}?receipts=true",
                body,
                content_type="application/json",
                headers={"X-Write-Key": f"{key}:any"},
            )
            content: dict[str, Any] = answer.json()
            assert (answer.status_code, content["rejected"], content["errors"]) == (200, 0, []), (
                path,
                content,
            )
            assert [row["problems"] for row in content["receipts"]] == [[]] * content["received"], (
                path,
                content,
            )

    return go


def test_every_guide_has_calls() -> None:
    assert {title for title, calls in CALLS.items() if not calls} == {"Bloomreach"}


def test_segment(run: Callable[[str], None]) -> None:
    run("Segment")
    ann = find_profile("customer_id:42").root
    assert (ann.email, ann.first_name) == ("ann@example.com", "Ann")
    assert sorted(events_of(ann)) == ["Order Completed", "group", "identify", "page"]


def test_rudderstack_and_jitsu(run: Callable[[str], None]) -> None:
    run("RudderStack and Jitsu")
    assert events_of(find_profile("customer_id:42").root) == ["Signed Up"]


def test_customer_io(run: Callable[[str], None]) -> None:
    run("Customer.io")
    ann = find_profile("customer_id:42").root
    assert (ann.email, ann.attributes) == ("ann@example.com", {"plan": "pro"})
    consent = Consent.objects.get()
    assert (consent.channel, consent.purpose, consent.state) == ("email", "newsletter", "withdrawn")


def test_synerise(run: Callable[[str], None]) -> None:
    run("Synerise")
    ann = find_profile("customId:42").root
    assert (ann.email, str(ann.birth_date), ann.first_name) == ("ann@example.com", "1990-02-28", "Ann")
    assert "product.addToFavorite" in events_of(ann)
    assert Receipt.objects.exclude(outcome="applied").count() == 0
