"""Random people with attributes, tags, identifiers, events and merges → rows, written directly: what rules are asked about."""

from __future__ import annotations

import datetime
import random
import uuid
from typing import Any

from profiles.builtin_sources import SOURCE_IDS
from profiles.identity.types import identifier_types
from profiles.models import (
    AttributeDefinition,
    Cart,
    Event,
    EventName,
    Identifier,
    Profile,
    ProfileTag,
    Tag,
)
from tests.segments.world_records import RecordsMaker

NOW = datetime.datetime(2026, 3, 10, 12, 0, tzinfo=datetime.UTC)
TEXTS = (
    "Zürich",
    "zurich",
    "ZÜRICH",
    "Łódź",
    "Istanbul",
    "İstanbul",
    "straße",
    "100 %_x'\"\\",
    "ΟΔΟΣ",
    "a,b",
    "Ångström",
)
NUMBERS: tuple[Any, ...] = (0, 1, -5, 19.9, 20, 20.000001, 1e-7, 123456789012345)
EVENTS = ("Added to Cart", "Order Completed", "Product Viewed")
TAGS = ("vip", "new", "old")
ATTRIBUTES = {
    "plan": "text",
    "points": "number",
    "is_member": "boolean",
    "renews_on": "date",
    "called_at": "datetime",
    "colors": "list",
}
PAGES = ("Home", "Pricing")
# Profiles of the world have the numbers from here on, so that rules can name them.
FIRST_ID = 7_000_001
_HOURS = (0, 1, 23, 24, 25, 47, 48, 24 * 7, 24 * 10, 24 * 30)


def define_names() -> None:
    for name in (*EVENTS, "page", "screen"):
        EventName.objects.get_or_create(name=name)
    for name in TAGS:
        Tag.objects.get_or_create(name=name)
    for name, kind in ATTRIBUTES.items():
        AttributeDefinition.objects.get_or_create(name=name, defaults={"type": kind})


def identifier(name: str, number: int) -> str:
    """The value of this type that the profile of this number may have, as it is stored."""
    return {
        "email": f"p{number}@example.com",
        "phone": f"+4860000{number:04}",
        "customer_id": f"C-{number}",
    }[name]


class World:
    """``people`` random persons, some of them several merged profiles."""

    def __init__(self, seed: int, people: int = 40, now: datetime.datetime = NOW) -> None:
        self.random = random.Random(seed)
        self.now = now
        self.count = 0
        define_names()
        self.tags = dict(Tag.objects.filter(name__in=TAGS).values_list("name", "pk"))
        self.names = dict(EventName.objects.values_list("name", "pk"))
        self.types = {name: spec.id for name, spec in identifier_types().items()}
        self.roots = [self.make_person() for _ in range(people)]
        RecordsMaker(self.random, self._moment, self.types).add(self.roots, self.attributes)

    def __repr__(self) -> str:
        return f"World of {len(self.roots)}"

    def make_person(self) -> int:
        root = self._profile()
        for _ in range(self.random.choice((0, 0, 0, 1, 2))):
            member = self._profile()
            Profile.objects.filter(pk=member.pk).update(canonical=root, status="merged")
        return root.pk

    def _profile(self) -> Profile:
        pick = self.random
        number = FIRST_ID + self.count
        self.count += 1
        profile = Profile(
            id=number,
            canonical_id=number,
            source_id=SOURCE_IDS[pick.choice(("web", "api", "import"))],
            is_recognized=pick.random() < 0.6,
            city=pick.choice((None, "", *TEXTS)),
            country=pick.choice((None, "PL", "DE", "NO")),
            email=pick.choice((None, f"{uuid.uuid4().hex[:6]}@example.com")),
            birth_date=pick.choice(
                (None, datetime.date(1990, 2, 28), datetime.date(1992, 2, 29), datetime.date(1980, 3, 12))
            ),
            attributes=self.attributes(),
        )
        profile.save(force_insert=True)
        self._details(profile)
        return profile

    def attributes(self) -> dict[str, Any]:
        pick = self.random
        values = {
            "plan": pick.choice(TEXTS),
            "points": pick.choice(NUMBERS),
            "is_member": pick.random() < 0.5,
            "renews_on": (self.now.date() + datetime.timedelta(days=pick.randint(-9, 9))).isoformat(),
            "called_at": self._moment().isoformat().replace("+00:00", "Z"),
            "colors": pick.sample(["red", "Grün", "blue"], pick.randint(0, 2)),
        }
        return {name: value for name, value in values.items() if pick.random() < 0.7}

    def _moment(self) -> datetime.datetime:
        """Often exactly at the edge of a window, or a second beside it."""
        hours = datetime.timedelta(hours=self.random.choice(_HOURS))
        return self.now - hours + datetime.timedelta(seconds=self.random.choice((-1, 0, 1, 600, 1799, 1800)))

    def _details(self, profile: Profile) -> None:
        pick = self.random
        for name in pick.sample(TAGS, pick.randint(0, 2)):
            ProfileTag.objects.create(profile=profile, tag_id=self.tags[name], source_id=SOURCE_IDS["staff"])
        for name in ("email", "phone", "customer_id"):
            if pick.random() < 0.3:
                Identifier.objects.create(
                    type_id=self.types[name],
                    value=identifier(name, self.count),
                    profile=profile,
                    source_id=SOURCE_IDS["api"],
                    is_verified=pick.random() < 0.5,
                    is_pending=pick.random() < 0.2,
                    resolves=pick.random() < 0.7,
                )
        self.add_events(profile.pk, pick.choice((0, 0, 1, 2, 5, 9)))
        self.add_pages(profile.pk, pick.choice((0, 0, 1, 3)))
        self.add_carts(profile.pk)

    def add_events(self, profile_id: int, count: int) -> None:
        Event.objects.bulk_create(
            Event(
                profile_id=profile_id,
                name_id=self.names[self.random.choice(EVENTS)],
                occurred_at=self._moment(),
                message_id=uuid.uuid4(),
                source_id=SOURCE_IDS["web"],
                properties=self.properties(),
            )
            for _ in range(count)
        )

    def add_pages(self, profile_id: int, count: int) -> None:
        """What a page is called stands in one of three places, or nowhere."""
        for _ in range(count):
            kind = self.random.choice(("page", "page", "screen"))
            name = {"name": self.random.choice((*PAGES, "", 7))}
            Event.objects.create(
                profile_id=profile_id,
                name_id=self.names[kind],
                kind=kind,
                occurred_at=self._moment(),
                message_id=uuid.uuid4(),
                source_id=SOURCE_IDS["web"],
                properties=self.random.choice(({}, name, {"name": "Home"})),
                envelope=self.random.choice((None, name, {"rest": name}, {"rest": {"name": "Pricing"}})),
            )

    def add_carts(self, profile_id: int) -> None:
        """Carts from an event's time to another's, whatever their events say."""
        for cart_id in self.random.sample(("c1", "c2", "7"), self.random.choice((0, 0, 1, 2))):
            started_at, last_event_at = sorted((self._moment(), self._moment()))
            Cart.objects.create(
                profile_id=profile_id,
                source_id=SOURCE_IDS["web"],
                cart_id=cart_id,
                state=self.random.choice(Cart.State.values),
                started_at=started_at,
                last_event_at=last_event_at,
            )

    def _coming(self) -> Any:
        """A time, or what is none though it looks like one."""
        moment = self.now + datetime.timedelta(hours=self.random.choice((-24, -1, 0, 1, 24, 48)))
        return self.random.choice(
            (
                moment.isoformat().replace("+00:00", "Z"),
                moment.isoformat(),
                f"{moment:%Y-%m-%d}",
                f"{moment:%Y%m%dT%H%M%SZ}",
                f"{moment:%Y-%m-%d}T24:00:00Z",
                "soon",
                7,
            )
        )

    def properties(self) -> dict[str, Any]:
        pick = self.random
        number = pick.choice((*NUMBERS, "20", "19.90", "a lot", None, [5, 30], True))
        items = [
            {"sku": pick.choice(("A", "b", "Ł")), "price": pick.choice((5, 25.5))}
            for _ in range(pick.randint(0, 2))
        ]
        values = {
            "price": number,
            "color": pick.choice((*TEXTS, 7, None)),
            "products": items,
            "gift": pick.random() < 0.5,
            "cart_id": pick.choice(("c1", " c1 ", "c2", 7)),
            "leaves_at": self._coming(),
        }
        return {name: value for name, value in values.items() if pick.random() < 0.8}
