"""A seeded stream of tracking calls: good, broken, repeated, oversized and odd items, in batches of any form."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# Not JSON to Python's writer, all of it seen on the wire.
ODD_NUMBERS = ("1e400", "-1e400", "NaN", "Infinity", "123456789012345678901234567890", "0.1e-999")
ODD_TEXTS = ("\x00", "a\x00b", "\ud800", "🙂" * 40, "\u202eabc", "'; DROP TABLE x; --", "<script>", " ", "")
_SLOT = "@@number@@"


@dataclass(frozen=True)
class Sending:
    """One request: the path, the raw body, how many items it has, how often it is sent, and with which key.

    One that is not ``is_readable`` has bytes that are no text, and is turned away whole.
    """

    path: str
    body: bytes
    count: int
    times: int
    is_web: bool
    is_readable: bool


def stream(seed: int, items: int, *, people: int = 400, largest: int = 60) -> Iterator[Sending]:
    """Requests with ``items`` items in all, every one sent 1 to 5 times."""
    chance = random.Random(seed)
    made = _Items(chance, people)
    left = items
    while left > 0:
        count = min(left, chance.choice((1, 1, 2, 5, 20, largest)))
        left -= count
        batch = [made.next() for _ in range(count)]
        body = _written(chance, batch)
        path = chance.choice(("/v1/batch", "/v1/b/", "/beacon/v1/batch", "/v1/import"))
        times = chance.choice((1, 1, 1, 2, 3, 5))
        yield Sending(path, body, count, times, chance.random() < 0.3, _is_text(body))


def _written(chance: random.Random, batch: list[Any]) -> bytes:
    body: Any = {"batch": batch}
    if chance.random() < 0.3:
        body["context"] = {"library": {"name": "stream", "version": "1"}}
    if chance.random() < 0.1:
        body = batch
    text = json.dumps(body, ensure_ascii=chance.random() < 0.5)
    while f'"{_SLOT}"' in text:
        text = text.replace(f'"{_SLOT}"', chance.choice(ODD_NUMBERS), 1)
    # A lone surrogate cannot be written as UTF-8; some clients do it all the same.
    return text.encode("utf-8", "surrogatepass")


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


class _Items:
    """Makes items one by one; remembers some to repeat them."""

    def __init__(self, chance: random.Random, people: int) -> None:
        self.chance, self.people = chance, people
        self.before: list[dict[str, Any]] = []
        self.carts: list[dict[str, Any]] = []
        self.number = 0

    def next(self) -> Any:
        dice = self.chance.random()
        if dice < 0.05 and self.before:
            return self.chance.choice(self.before)
        if dice < 0.10:
            return self._broken()
        if dice < 0.12 and self.carts:
            return {**self.chance.choice(self.carts), "messageId": f"again-{self.number}-{dice}"}
        item = self._good()
        if dice < 0.18:
            self._make_odd(item)
        if len(self.before) < 500 or self.chance.random() < 0.01:
            self.before.append(item)
        return item

    def _good(self) -> dict[str, Any]:
        chance = self.chance
        self.number += 1
        item: dict[str, Any] = {"messageId": str(uuid.UUID(int=chance.getrandbits(128), version=4))}
        if chance.random() < 0.3:
            item["messageId"] = f"m-{self.number}"
        user = chance.randrange(self.people)
        if chance.random() < 0.6:
            item["anonymousId"] = f"a-{user}-{chance.randrange(2)}"
        if chance.random() < 0.5 or "anonymousId" not in item:
            item["userId"] = f"u-{user}"
        kind = chance.choices(
            ("track", "identify", "page", "screen", "group", "update", "alias", "consent"),
            (50, 15, 15, 4, 4, 6, 3, 3),
        )[0]
        item["type"] = kind
        getattr(self, f"_{kind}")(item, user)
        if "timestamp" not in item and chance.random() < 0.4:
            item["timestamp"] = f"2024-0{chance.randint(1, 9)}-1{chance.randrange(10)}T10:00:00.000Z"
        return item

    def _track(self, item: dict[str, Any], user: int) -> None:
        name = self.chance.choice(("Product Viewed", "Added to Cart", "Order Completed", "Näme", "x"))
        item |= {"event": name, "properties": {"sku": f"S-{user}", "price": 9.5, "quantity": 1}}
        if name == "Added to Cart":
            item["properties"]["cart_id"] = f"c-{self.number}"
            # At a time of its own: only then is it known whether a copy comes within two seconds.
            item["timestamp"] = f"2024-01-01T{self.number % 24:02}:{self.number % 60:02}:00Z"
            self.carts.append(item)

    def _identify(self, item: dict[str, Any], user: int) -> None:
        item["traits"] = {"firstName": "Ann", "lastName": f"Of {user}"}
        if "userId" in item and self.chance.random() < 0.5:
            item["traits"]["email"] = f"p{user}@example.com"

    def _update(self, item: dict[str, Any], user: int) -> None:
        item["traits"] = {"city": self.chance.choice(("Bergen", "Lund")), "plan": "pro"}

    def _page(self, item: dict[str, Any], user: int) -> None:
        item |= {"name": "Home", "properties": {"url": "https://shop.example/"}}

    _screen = _page

    def _group(self, item: dict[str, Any], user: int) -> None:
        item |= {"groupId": f"g-{user % 9}", "traits": {"size": 3}}

    def _alias(self, item: dict[str, Any], user: int) -> None:
        item |= {"userId": f"u-{user}", "previousId": f"old-{user}"}

    def _consent(self, item: dict[str, Any], user: int) -> None:
        item |= {"channel": "email", "purpose": "newsletter", "wording": "Yes, please."}
        item |= {"reason": "asked_in_writing", "proof": {"form": "/account"}}  # where a yes comes after a no
        item["state"] = self.chance.choice(("granted", "withdrawn"))

    def _broken(self) -> Any:
        chance = self.chance
        kind = chance.randrange(10)
        if kind == 0:
            return chance.choice((None, 7, "text", [], True, [[1]]))
        item = self._good()
        if kind == 1:
            item.pop("type")
        elif kind == 2:
            item["type"] = "teleport"
        elif kind == 3:
            item.pop("userId", None)
            item.pop("anonymousId", None)
        elif kind == 4:
            item |= {"type": "track", "event": ""}
        elif kind == 5:
            item["messageId"] = "m" * 300
        elif kind == 6:
            item["properties"] = item["traits"] = {"big": "x" * 40_000}
        elif kind == 7:
            item["properties"] = item["traits"] = _deep(60)
        elif kind == 8:
            item["userId"] = {"not": "an id"}
        else:
            item |= {"userId": "null", "type": "track", "event": "Looked"}
            item.pop("anonymousId", None)
        return item

    def _make_odd(self, item: dict[str, Any]) -> None:
        """Wrong in places, but about somebody: it is taken, or refused for its value."""
        chance = self.chance
        place = "traits" if item["type"] in ("identify", "update", "group") else "properties"
        said = item.setdefault(place, {})
        kind = chance.randrange(8)
        if kind == 0:
            said["odd"] = chance.choice(ODD_TEXTS)
        elif kind == 1:
            said["number"] = _SLOT
        elif kind == 2:
            said[chance.choice(("n\x00l", "x" * 200, "", "a.b"))] = 1
        elif kind == 3:
            item["context"] = chance.choice(
                ("text", 5, [], {"externalIds": [{"type": "nothing", "id": 1}, 5]})
            )
        elif kind == 4:
            item["timestamp"] = chance.choice(("soon", "9999-12-31T23:59:59Z", -1, 0, "1969-01-01", [1]))
        elif kind == 5:
            item[place] = chance.choice((None, "text", [1], 0))
        elif kind == 6:
            item["userId"] = chance.choice((42, 42.0, "A" * 255, " u-1 ", chance.choice(ODD_TEXTS)))
        else:
            said |= {"email": "no address", "birthday": "31.02.2020", "phone": "++"}


def _deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"d": value}
    return value
