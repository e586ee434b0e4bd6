"""Carts of a profile → how many events each had, and the latest of them. One query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.db import connection
from django.db.models import QuerySet

from profiles.models import Cart

_EVENTS = """
    SELECT c.id, count(*), (array_agg(n.name ORDER BY e.occurred_at DESC, e.id DESC))[1],
        (array_agg(e.properties ORDER BY e.occurred_at DESC, e.id DESC))[1]::text
    FROM profiles_cart c
    JOIN profiles_event e ON e.profile_id = c.profile_id AND e.kind = 'track'
        AND e.occurred_at BETWEEN c.started_at AND c.last_event_at AND btrim(e.properties ->> 'cart_id') = c.cart_id
    JOIN profiles_eventname n ON n.id = e.name_id
    WHERE c.id = ANY(%s) GROUP BY c.id
"""


@dataclass(frozen=True, slots=True)
class CartView:
    """``last_event`` is the name of the cart's latest event, empty where its events were deleted."""

    row: Cart
    events: int = 0
    last_event: str = ""
    properties: dict[str, Any] = field(default_factory=dict)


def carts_of(root_id: int) -> QuerySet[Cart]:
    """The carts of a person and everybody merged into them, the latest first."""
    return Cart.objects.filter(profile__canonical_id=root_id).select_related("source", "superseded_by")


def cart_views(carts: Sequence[Cart]) -> list[CartView]:
    """The carts with the number of their events and the latest one, in the same order. One query."""
    if not carts:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_EVENTS, [[cart.pk for cart in carts]])
        by_cart = {
            cart_id: (count, name, orjson.loads(sent)) for cart_id, count, name, sent in cursor.fetchall()
        }
    return [CartView(cart, *by_cart.get(cart.pk, ())) for cart in carts]
