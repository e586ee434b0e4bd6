"""Demo profiles → a day of tracking calls: accepted ones, refused ones, and some that wait for a decision."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from django.db import connection, transaction
from django.db.models import OuterRef, Subquery
from django.utils import timezone

from cdp.actors import Actor
from profiles.demo.vocabulary import PAGES, PRODUCTS, USER_AGENTS
from profiles.models import Identifier, Receipt, Source, WriteKey
from profiles.tracking.ingest.ingest import ingest_items
from profiles.tracking.parse.items import read_item
from profiles.tracking.sources.sources import create_source
from profiles.tracking.sources.write_keys import Sender

SEED = 7_026
HOURS = 24
VISITS = 90
SHOP, BACKEND = "Shop website", "Shop backend"

Call = dict[str, Any]


@dataclass(slots=True)
class _Day:
    """Calls of one source with when they arrived, in hours ago."""

    random: Random
    calls: list[tuple[float, Call]] = field(default_factory=list)

    def add(self, ago: float, kind: str, **call: Any) -> None:
        message = str(uuid.UUID(int=self.random.getrandbits(128), version=4))
        self.calls.append((ago, {"type": kind, "messageId": message, **call}))


@transaction.atomic
def load_traffic() -> dict[str, int]:
    """Two sources and a day of their calls, made up and the same every time; how many got each outcome."""
    random = Random(SEED)  # noqa: S311
    web = _sender(SHOP, "web", schema_mode="warn")
    backend = _sender(BACKEND, "server", schema_mode="quarantine")
    regulars = _regulars(random)
    customers = [customer for _, customer in regulars]
    visits, orders = _Day(random), _Day(random)
    for _ in range(VISITS):
        _visit(visits, orders, regulars)
    _second_browsers(visits, customers)
    _mistakes(visits, orders, customers)
    _kiosk(visits, customers)
    now, counts = timezone.now(), dict[str, int]()
    for sender, day in ((web, visits), (backend, orders)):
        for result in _send(sender, day, now):
            counts[result] = counts.get(result, 0) + 1
    _spread_receipts(random, now)
    return counts


def _sender(name: str, kind: str, **settings: Any) -> Sender:
    made = create_source(name=name, kind=kind, actor=Actor.system())
    Source.objects.filter(pk=made.source.pk).update(**settings)
    return Sender.of(WriteKey.objects.select_related("source").get(source_id=made.source.pk))


def _regulars(random: Random) -> list[tuple[str, str]]:
    """Browser and customer id of some people who have both."""
    browser = Identifier.objects.resolving().filter(profile=OuterRef("profile"), type__name="anonymous_id")
    rows = Identifier.objects.resolving().filter(type__name="customer_id").order_by("pk")
    pairs = rows.annotate(browser=Subquery(browser.order_by("pk").values("value")[:1]))
    pairs_of_ids = list(pairs.filter(browser__isnull=False).values_list("browser", "value"))
    return random.sample(pairs_of_ids, min(len(pairs_of_ids), VISITS))


def _visit(visits: _Day, orders: _Day, regulars: list[tuple[str, str]]) -> None:
    """Somebody looks around; some put things in a cart, regulars log in and buy, and the backend sends the order."""
    random, clock = visits.random, visits.random.uniform(0.2, HOURS - 1)
    browser, customer = str(uuid.UUID(int=random.getrandbits(128))), ""
    if regulars and random.random() < 0.6:
        browser, customer = random.choice(regulars)
    sent_by = {
        "anonymousId": browser,
        "context": {"userAgent": random.choice(USER_AGENTS), "locale": "en-GB"},
    }
    for path, title in random.sample(PAGES, 2):
        page = {"path": path, "title": title, "url": f"https://shop.example{path}"}
        visits.add(clock, "page", name=title, properties=page, **sent_by)
        clock -= random.uniform(0.005, 0.02)
    sku, name, _, price, variants = random.choice(PRODUCTS)[:5]
    seen = {"sku": sku, "name": name, "price": price}
    visits.add(clock, "track", event="Product Viewed", properties=seen, **sent_by)
    if random.random() < 0.3:
        visits.add(clock - 0.005, "track", event="Size Guide Opened", properties={"sku": sku}, **sent_by)
    if random.random() < 0.4:
        return
    cart = f"cart-{random.randint(10_000, 99_999)}"
    article = {"sku": sku, "price": price, "quantity": 1, "variant": _variant(variants, random)}
    visits.add(
        clock - 0.02, "track", event="Added to Cart", properties={**article, "cart_id": cart}, **sent_by
    )
    if not customer or random.random() < 0.5:
        return
    visits.add(
        clock - 0.04, "identify", userId=customer, traits={"preferred_store": "Harbor Street"}, **sent_by
    )
    orders.add(
        max(clock - 0.06, 0.01),
        "track",
        event="Order Completed",
        userId=customer,
        properties={**article, "cart_id": cart, "order_id": f"R-{cart[5:]}"},
        context={"library": {"name": "shop-backend", "version": "2.4"}},
    )


def _variant(variants: Any, random: Random) -> str:
    return random.choice(variants) if isinstance(variants, tuple) and variants else "standard"


def _second_browsers(visits: _Day, customers: list[str]) -> None:
    """Known people look around on a new phone in the morning and log in on it later: two profiles become one."""
    for customer in customers[-4:]:
        browser = str(uuid.UUID(int=visits.random.getrandbits(128)))
        sent_by = {"anonymousId": browser, "context": {"userAgent": USER_AGENTS[-1]}}
        path, title = visits.random.choice(PAGES)
        page = {"path": path, "title": title, "url": f"https://shop.example{path}"}
        visits.add(visits.random.uniform(14, 20), "page", name=title, properties=page, **sent_by)
        visits.add(visits.random.uniform(2, 6), "identify", userId=customer, **sent_by)


def _mistakes(visits: _Day, orders: _Day, customers: list[str]) -> None:
    """What integrations get wrong, a few of each."""
    random = visits.random
    for _ in range(5):
        visits.add(random.uniform(1, 20), "track", event="Newsletter Popup Closed", properties={"page": "/"})
    for value in ("null", "undefined", "null"):
        orders.add(
            random.uniform(1, 20), "identify", userId=value, traits={"email": "", "first_name": "Guest"}
        )
    for number in range(6):
        customer = random.choice(customers) if customers else f"C-{number}"
        sku, _, _, price = random.choice(PRODUCTS)[:4]
        orders.add(
            random.uniform(1, 20),
            "track",
            event="Order Completed",
            userId=customer,
            properties={"product_sku": sku, "price": f"{price:.2f} EUR", "quantity": 1},
        )
    for _ in range(4):
        browser = str(uuid.UUID(int=random.getrandbits(128)))
        visits.add(
            random.uniform(1, 20),
            "update",
            anonymousId=browser,
            traits={"email": f"visitor{random.randint(100, 999)}@example.com"},
        )
    repeated = random.sample(visits.calls, 3)
    visits.calls += repeated


def _kiosk(visits: _Day, customers: list[str]) -> None:
    """A tablet in a store on which one customer after the other logs in."""
    for index, customer in enumerate(customers[:7]):
        visits.add(
            9 - index,
            "identify",
            anonymousId="store-tablet-1",
            userId=customer,
            context={"userAgent": USER_AGENTS[0]},
        )


def _send(sender: Sender, day: _Day, now: datetime) -> Iterator[str]:
    """In the order of arrival, twenty items a call as SDKs do."""
    calls = sorted(day.calls, key=lambda call: -call[0])
    for start in range(0, len(calls), 20):
        entries = [
            read_item(raw, index=index, received_at=now - timedelta(hours=ago))
            for index, (ago, raw) in enumerate(calls[start : start + 20])
        ]
        for result in ingest_items(entries, sender=sender).results:
            yield result.outcome


def _spread_receipts(random: Random, now: datetime) -> None:
    """Receipts are dated when they are written; these pretend to have come with their events."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE profiles_receipt r SET received_at = e.received_at FROM profiles_event e"
            " WHERE e.source_id = r.source_id AND e.message_id::text = r.message_id AND r.received_at > %s",
            [now],
        )
    rest = list(Receipt.objects.filter(received_at__gt=now))
    for row in rest:
        row.received_at = now - timedelta(hours=random.uniform(0.5, HOURS - 1))
    Receipt.objects.bulk_update(rest, ["received_at"])
