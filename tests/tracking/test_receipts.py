"""Receipts read: which, how many by reason, how each is described, and that reading stays bounded."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from cdp.errors import Invalid, NotFound
from profiles.models import Receipt
from profiles.tracking.rejected import receipts
from profiles.tracking.rejected.receipts import (
    Choice,
    count_codes,
    describe_receipt,
    filtered_receipts,
    get_receipt,
    parse_choice,
    payload_of,
    problems_of,
)
from tests.tracking.rejected import make_source, reject, send

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def ids_of(**params: str) -> set[int]:
    return set(filtered_receipts(parse_choice(params)).values_list("pk", flat=True))


def test_each_filter_chooses() -> None:
    shop, desk = make_source(name="Shop"), make_source(name="Desk")
    old = NOW - datetime.timedelta(days=2)
    a = reject(shop, at=old, message_id="m-a")
    b = reject(shop, outcome="quarantined", code="schema_violation", name="Order Completed")
    c = reject(desk, {"type": "identify"}, outcome="blocked_value", code="blocked")
    done = reject(shop, resolved_at=NOW, resolution="dismissed")
    assert ids_of() == {a.pk, b.pk, c.pk}
    assert ids_of(state="resolved") == {done.pk}
    assert ids_of(state="all") == {a.pk, b.pk, c.pk, done.pk}
    assert ids_of(source="shop") == ids_of(source=str(shop.pk)) == {a.pk, b.pk}
    assert ids_of(outcome="quarantined") == ids_of(code="schema_violation") == {b.pk}
    assert ids_of(name="Order Completed") == {b.pk}
    assert ids_of(kind="identify") == {c.pk}
    assert ids_of(message_id="m-a") == {a.pk}
    assert ids_of(message_id="m-b") == set()
    assert ids_of(day=timezone.localtime(old).date().isoformat()) == {a.pk}
    assert ids_of(received_at_after=NOW.isoformat()) == set() or a.pk not in ids_of(
        received_at_after=NOW.isoformat()
    )
    assert ids_of(received_at_before=(old + datetime.timedelta(hours=1)).isoformat()) == {a.pk}
    assert ids_of(source=" ", code="") == {a.pk, b.pk, c.pk}, "an empty filter chooses nothing away"


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"state": "gone"}, "“gone” is not a state. Known states: waiting, resolved, all."),
        ({"source": "nowhere"}, "There is no source “nowhere”."),
        ({"day": "1 May"}, "“1 May” is not a day. Write it like 2026-03-01."),
        (
            {"received_at_after": "yesterday"},
            "“yesterday” is not a date. Write it like 2026-03-01 or 2026-03-01T14:30:00Z.",
        ),
    ],
)
def test_what_cannot_be_read_is_said(params: dict[str, str], said: str) -> None:
    assert parse_choice({}) == Choice()
    with pytest.raises(Invalid) as refused:
        parse_choice(params)
    assert refused.value.message == said
    with pytest.raises(Invalid) as outcome:
        parse_choice({"outcome": "lost"})
    assert outcome.value.message.startswith("“lost” is not an outcome. Known outcomes: applied, merged, ")


def test_a_message_is_found_whatever_became_of_it() -> None:
    source = make_source()
    send(source, {"type": "page", "anonymousId": "b-1", "messageId": "m-1"})
    send(source, {"type": "page", "anonymousId": "b-1", "messageId": "m-1"})
    send(source, {"type": "track", "anonymousId": "b-1", "messageId": "m-2"})
    rows = Receipt.objects.filter(pk__in=ids_of(state="all", message_id="m-1")).order_by("pk")
    assert [row.outcome for row in rows] == ["applied", "duplicate"]
    assert ids_of(message_id="m-1") == set(), "neither waits"
    assert Receipt.objects.get(pk__in=ids_of(message_id="m-2")).code == "missing_event_name"


def test_counts_by_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_source()
    for _ in range(3):
        reject(source)
    reject(source, code="schema_violation")
    counts = count_codes(Choice(code="schema_violation"))
    assert [(row.code, str(row.count)) for row in counts.codes] == [
        ("missing_identifier", "3"),
        ("schema_violation", "1"),
    ]
    assert (str(counts.total), counts.is_capped) == ("4", False)
    monkeypatch.setattr(receipts, "COUNTED", 2)
    capped = count_codes(Choice())
    assert (capped.total.number, capped.is_capped) == (2, True)
    assert count_codes(Choice(kind="none")).codes == []


def test_one_receipt_in_words() -> None:
    problems = [
        {"pointer": "/properties/price", "value": "12,50", "message": "Not a number.", "code": "type"},
        {
            "pointer": "/traits/email",
            "value": "ann@example.com",
            "message": "ann@example.com is odd.",
            "code": "x",
        },
        "not a problem",
    ]
    row = reject(make_source(), {"traits": {"email": "ann@example.com"}}, problems=problems, message="")
    assert (
        describe_receipt(row)
        == "It does not say whom it is about: no userId, no anonymousId, no externalIds, no e-mail that identifies."
    )
    row.code = "brand_new"
    assert describe_receipt(row) == "Brand new"
    open_, masked = problems_of(row, can_view_pii=True), problems_of(row, can_view_pii=False)
    assert [(problem.where, problem.value) for problem in open_] == [
        ("properties.price", "12,50"),
        ("traits.email", "ann@example.com"),
    ]
    assert [problem.value for problem in masked] == ["12,50", "•••"]
    assert masked[1].message == "••• is odd."
    assert payload_of(row, can_view_pii=True) == {"traits": {"email": "ann@example.com"}}
    assert payload_of(row, can_view_pii=False) == {"traits": {"email": "•••"}}
    with pytest.raises(NotFound) as gone:
        get_receipt(10**9)
    assert gone.value.message == "There is no receipt #1000000000."


def plan_of(queryset: Any) -> str:
    return json.dumps(json.loads(queryset.explain(format="json")))


def test_the_inbox_walks_its_own_index() -> None:
    """With many receipts and few that wait, neither the page nor the counts read the rest."""
    source, quiet = make_source(), make_source()
    Receipt.objects.bulk_create(
        Receipt(source=source, outcome="applied", message_id=str(number)) for number in range(5_000)
    )
    reject(quiet)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE profiles_receipt")
    page = filtered_receipts(Choice()).order_by("-pk")[:51]
    assert "receipt_waiting" in plan_of(page)
    assert "receipt_of_source" in plan_of(Receipt.objects.filter(source=quiet).order_by("-pk")[:51])
    lost = Receipt.objects.filter(message_id="x").exclude(outcome="applied")
    # So few are not applied here that another partial index may serve as well.
    assert "Seq Scan" not in plan_of(lost)
    assert "receipt_replays" in plan_of(Receipt.objects.filter(replay_of=1).order_by("pk"))
