"""What a shop sends: calls about people of the big base and new visitors, as bodies ready to be posted."""

from __future__ import annotations

import random
import uuid
from dataclasses import dataclass
from typing import Any

import orjson
from django.db import connection

from profiles.models import IdentifierType

NEW_VISITORS = 0.3


@dataclass(frozen=True)
class Known:
    """Ids of people of the base: their numbers (customer id and e-mail follow from them) and some browsers."""

    low: int
    high: int
    browsers: list[str]


def known_people() -> Known:
    with connection.cursor() as cursor:
        kind = IdentifierType.objects.get(name="anonymous_id").pk
        cursor.execute(
            "SELECT min(id), max(id) FROM profiles_profile WHERE email = 'p' || id || '@example.com'"
        )
        low, high = cursor.fetchone()
        cursor.execute(
            "SELECT value FROM profiles_identifier TABLESAMPLE SYSTEM (20) WHERE type_id = %s AND resolves LIMIT 20000",
            [kind],
        )
        return Known(low, high, [value for (value,) in cursor.fetchall()])


def bodies(seed: int, *, events: int, size: int, known: Known) -> list[bytes]:
    """Batches of ``size`` items: tracks, pages, identifies; three of ten are about somebody new."""
    chance = random.Random(seed)
    return [
        orjson.dumps({"batch": [_item(chance, known) for _ in range(size)]}) for _ in range(0, events, size)
    ]


def _item(chance: random.Random, known: Known) -> dict[str, Any]:
    item: dict[str, Any] = {
        "messageId": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        "context": {
            "library": {"name": "shop", "version": "2.1.0"},
            "page": {
                "url": "https://shop.example/p/17",
                "path": "/p/17",
                "title": "A product",
                "referrer": "",
            },
            "userAgent": "Mozilla/5.0 (X11; Linux x86_64; rv:126.0) Gecko/20100101 Firefox/126.0",
            "locale": "de-DE",
        },
    }
    number = chance.randint(known.low, known.high)
    is_new = chance.random() < NEW_VISITORS
    if is_new:
        item["anonymousId"] = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    elif chance.random() < 0.5 and known.browsers:
        item["anonymousId"] = chance.choice(known.browsers)
    else:
        item["userId"] = f"C-{number}"
    kind = chance.choices(("track", "page", "identify"), (60, 25, 15))[0]
    item["type"] = kind
    if kind == "track":
        item["event"] = chance.choice(("Product Viewed", "Added to Cart", "Order Completed"))
        item["properties"] = {
            "sku": f"S-{chance.randrange(500)}",
            "price": chance.randrange(9900) / 100,
            "quantity": 1,
        }
    elif kind == "page":
        item |= {"name": "Product", "properties": {"url": "https://shop.example/p/17", "path": "/p/17"}}
    else:
        item["traits"] = {"city": chance.choice(("Berlin", "Lund", "Graz")), "plan": "pro"}
        if is_new:
            name = item["anonymousId"]
            item |= {"userId": f"N-{name}", "traits": {**item["traits"], "email": f"{name}@example.com"}}
    return item
