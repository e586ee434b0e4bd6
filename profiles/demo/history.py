"""A made-up person → their events in the shop. Pure and deterministic, times in days ago."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from profiles.demo.people import MadeUpPerson
from profiles.demo.vocabulary import PAGES, PRODUCTS

MINUTE = 1 / 1440
Item = tuple[str, str, str, float, str, int]


@dataclass(frozen=True, slots=True)
class Act:
    """One event: ``ago`` in days."""

    name: str
    kind: str
    ago: float
    properties: dict[str, Any]
    channel: str = "web"


def history_of(person: MadeUpPerson, random: Random) -> list[Act]:
    """All visits of one person since they were first seen, oldest first."""
    acts: list[Act] = []
    visits = min(14, max(1, round(person.activity * random.uniform(0.6, 1.8))))
    starts = sorted((person.born * random.random() for _ in range(visits - 1)), reverse=True)
    for start in [person.born, *starts]:
        acts += _visit(person, max(start, 0.01), random)
    return acts


def _visit(person: MadeUpPerson, start: float, random: Random) -> list[Act]:
    acts: list[Act] = []
    clock = start

    def act(name: str, properties: dict[str, Any], *, kind: str = "track", channel: str = "web") -> None:
        nonlocal clock
        clock = max(clock - random.uniform(0.3, 4) * MINUTE, MINUTE / 10)
        acts.append(Act(name, kind, clock, properties, channel))

    for path, title in random.sample(PAGES, random.randint(1, 2)):
        act("page", {"path": path, "title": title, "url": f"https://shop.example{path}"}, kind="page")
    products = random.sample(PRODUCTS, random.randint(1, 3))
    for sku, name, category, price, _ in products:
        act("Product Viewed", {"sku": sku, "name": name, "category": category, "price": price})
    if random.random() < (0.45 if person.customer_id else 0.2):
        _shop(products, person, random, act)
    return acts


def _shop(products: list[Any], person: MadeUpPerson, random: Random, act: Any) -> None:
    cart_id = f"cart-{random.getrandbits(32):08x}"
    items = []
    for sku, name, _, price, variants in products[: random.randint(1, len(products))]:
        item = {
            "sku": sku,
            "name": name,
            "variant": random.choice(variants),
            "price": price,
            "quantity": random.choices((1, 2, 3), (80, 16, 4))[0],
        }
        items.append(item)
        act("Added to Cart", {"cart_id": cart_id, **item})
    total = round(sum(item["price"] * item["quantity"] for item in items), 2)
    if random.random() < 0.65:
        act("Checkout Started", {"cart_id": cart_id, "total": total, "products": items})
        if person.customer_id and random.random() < 0.78:
            order = {"order_id": f"O-{random.randint(100_000, 999_999)}", "currency": "EUR"}
            act(
                "Order Completed",
                {**order, "cart_id": cart_id, "total": total, "products": items},
                channel="api",
            )


def spent(acts: list[Act]) -> float:
    return float(sum(act.properties["total"] for act in acts if act.name == "Order Completed"))
