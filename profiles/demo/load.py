"""Made-up people → rows of an empty database: plain bulk inserts for what is many, the real verbs for merges."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from cdp import audit
from cdp.actors import Actor
from profiles.builtin_sources import SOURCE_IDS, builtin_source
from profiles.demo.history import Act, history_of, spent
from profiles.demo.people import PLANS, MadeUpPerson, make_people
from profiles.demo.vocabulary import CATEGORIES, NOTES, TAGS, VIEWS
from profiles.identity.presets import CONTACTS
from profiles.merging.merge import merge_profiles
from profiles.merging.unmerge import unmerge_profiles
from profiles.models import (
    AttributeDefinition,
    Change,
    Consent,
    Event,
    EventName,
    Identifier,
    IdentifierType,
    Note,
    Profile,
    ProfileTag,
    Tag,
)
from profiles.search.saved_views import save_view

SEED = 2_026
RECOGNIZED, ANONYMOUS, TWINS = 1_640, 300, 72
MERGED, UNMERGED = 12, 2
# Two of the people share an address, about which the first says no after the second agreed.
_SHARING = (0, 1)
_CONTACTS = {"email": "email", "sms": "phone"}

_DEFINITIONS: tuple[dict[str, Any], ...] = (
    {
        "name": "plan",
        "label": "Plan",
        "type": "choice",
        "choices": list(PLANS),
        "sensitivity": "none",
        "description": "Level in the loyalty program.",
    },
    {
        "name": "loyalty_points",
        "label": "Loyalty points",
        "type": "number",
        "sensitivity": "none",
        "description": "Points that can be spent.",
        "merge_rule": "sum",
    },
    {
        "name": "newsletter_topics",
        "label": "Newsletter topics",
        "type": "list",
        "choices": list(CATEGORIES),
        "sensitivity": "personal",
        "description": "What they want to read about.",
    },
    {
        "name": "preferred_store",
        "label": "Preferred store",
        "type": "text",
        "sensitivity": "personal",
        "description": "Where they like to pick up.",
    },
    {
        "name": "company",
        "label": "Company",
        "type": "text",
        "sensitivity": "personal",
        "description": "For customers who buy for a business.",
    },
)


@dataclass(slots=True)
class Loaded:
    """How many of each there are now."""

    profiles: int = 0
    events: int = 0
    consents: int = 0
    notes: int = 0
    merges: int = 0


@dataclass(slots=True)
class _Base:
    """What is about to be written, with the ids given to the people."""

    now: datetime
    random: Random
    people: list[MadeUpPerson]
    ids: list[int]
    acts: list[list[Act]]
    types: dict[str, int]
    tags: dict[str, int] = field(default_factory=dict)

    def when(self, ago: float) -> datetime:
        return self.now - timedelta(days=ago)

    @property
    def rows(self) -> Iterator[tuple[int, MadeUpPerson, list[Act]]]:
        return zip(self.ids, self.people, self.acts, strict=True)


@transaction.atomic
def load_demo() -> Loaded | None:
    """Fill an empty database with about 2,000 people and their histories; None when somebody is there already."""
    if Profile.objects.exists():
        return None
    random = Random(SEED)  # noqa: S311  (made-up data, the same every time)
    people = make_people(random, recognized=RECOGNIZED, anonymous=ANONYMOUS, twins=TWINS)
    first, second = (people[index] for index in _SHARING)
    second.values["email"] = first.values["email"]
    base = _Base(
        now=timezone.now(),
        random=random,
        people=people,
        ids=_ids_for(people),
        acts=[history_of(person, random) for person in people],
        types=dict(IdentifierType.objects.values_list("name", "pk")),
    )
    _define(base)
    Profile.objects.bulk_create([_profile(base, *row) for row in base.rows], batch_size=2000)
    Identifier.objects.bulk_create(_identifiers(base), batch_size=5000)
    Change.objects.bulk_create(_changes(base), batch_size=5000)
    loaded = Loaded(
        profiles=len(people),
        events=len(Event.objects.bulk_create(_events(base), batch_size=5000)),
        consents=len(Consent.objects.bulk_create(_consents(base), batch_size=5000)),
        notes=len(Note.objects.bulk_create(_notes(base))),
    )
    ProfileTag.objects.bulk_create(_tags(base), batch_size=5000)
    loaded.merges = _merge(base)
    detail = {"profiles": loaded.profiles, "events": loaded.events}
    audit.record("demo.load", actor=Actor.system(), detail=detail)
    return loaded


def _ids_for(people: list[MadeUpPerson]) -> list[int]:
    """An id for each: anonymous visitors the lowest, the newest customer the highest, with which the list begins."""
    order = sorted(range(len(people)), key=lambda n: (bool(people[n].values), -people[n].born, n))
    given = dict(zip(order, _take_ids(len(people)), strict=True))
    return [given[n] for n in range(len(people))]


def _take_ids(count: int) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence('profiles_profile', 'id')) FROM generate_series(1, %s)",
            [count],
        )
        return [row[0] for row in cursor.fetchall()]


def _define(base: _Base) -> None:
    AttributeDefinition.objects.bulk_create(
        [AttributeDefinition(**spec) for spec in _DEFINITIONS], ignore_conflicts=True
    )
    Tag.objects.bulk_create(
        [Tag(name=name, color=color, description=text) for name, color, text in TAGS], ignore_conflicts=True
    )
    base.tags = dict(Tag.objects.values_list("name", "pk"))
    for name, query, columns in VIEWS:
        save_view(name=name, query=query, columns=columns, is_shared=True, actor=Actor.system())


def _profile(base: _Base, pk: int, person: MadeUpPerson, acts: list[Act]) -> Profile:
    born = base.when(person.born)
    seen = base.when(acts[-1].ago)
    values = {key: value for key, value in person.values.items() if value is not None}
    if "birth_date" in values:
        values["birth_date"] = date.fromisoformat(values["birth_date"])
    return Profile(
        pk=pk,
        canonical_id=pk,
        is_recognized=bool(person.values),
        attributes=person.attributes,
        source_id=SOURCE_IDS[person.channel],
        created_at=born,
        updated_at=born,
        first_seen_at=born,
        last_seen_at=seen,
        **values,
    )


def _identifiers(base: _Base) -> list[Identifier]:
    """As the verbs would have made them: phone is contact-only, everything else leads to its profile.

    An address that somebody has already is for contact only, too.
    """
    rows = []
    shared = base.ids[_SHARING[1]]
    for pk, person, acts in base.rows:
        pairs = [
            ("customer_id", person.customer_id),
            ("email", person.values.get("email")),
            ("phone", person.values.get("phone")),
            *(("anonymous_id", browser) for browser in person.browsers),
        ]
        for name, value in pairs:
            if value:
                rows.append(
                    Identifier(
                        type_id=base.types[name],
                        value=value,
                        profile_id=pk,
                        source_id=SOURCE_IDS["web" if name == "anonymous_id" else person.channel],
                        resolves=name != "phone" and (name, pk) != ("email", shared),
                        first_seen_at=base.when(person.born),
                        last_seen_at=base.when(acts[-1].ago),
                    )
                )
    return rows


def _changes(base: _Base) -> list[Change]:
    """Everybody's first journal row, and a later one for those whose points grew or who were asked again."""
    rows = []
    for pk, person, acts in base.rows:
        fields: dict[str, Any] = {
            key: [None, value] for key, value in person.values.items() if value is not None
        }
        fields |= {f"attributes.{key}": [None, value] for key, value in person.attributes.items()}
        later: dict[str, Any] = {}
        points = person.attributes.get("loyalty_points", 0)
        if points > 200 and person.born > 10:
            first = base.random.randint(10, 100)
            fields["attributes.loyalty_points"] = [None, first]
            later = {"attributes.loyalty_points": [first, points]}
        fields["identifiers"] = [[], _listed(person)]
        rows.append(_change(base, pk, "created", fields, person.born, person.channel))
        if later:
            rows.append(_change(base, pk, "updated", later, acts[-1].ago, "api"))
    return rows


def _listed(person: MadeUpPerson) -> list[str]:
    pairs = [
        ("customer_id", person.customer_id),
        *((name, person.values.get(name)) for name in CONTACTS),
    ]
    browsers = [f"anonymous_id:{browser}" for browser in person.browsers]
    return [f"{name}:{value}" for name, value in pairs if value] + browsers


def _change(base: _Base, pk: int, kind: str, fields: dict[str, Any], ago: float, channel: str) -> Change:
    return Change(profile_id=pk, kind=kind, fields=fields, at=base.when(ago), source_id=SOURCE_IDS[channel])


def _events(base: _Base) -> list[Event]:
    names = {act.name for acts in base.acts for act in acts}
    EventName.objects.bulk_create([EventName(name=name) for name in sorted(names)], ignore_conflicts=True)
    known = dict(EventName.objects.filter(name__in=names).values_list("name", "pk"))
    rows = []
    for pk, person, acts in base.rows:
        context = {"userAgent": person.agent, "locale": person.values.get("language") or "en"}
        for act in acts:
            at = base.when(act.ago)
            rows.append(
                Event(
                    profile_id=pk,
                    name_id=known[act.name],
                    kind=act.kind,
                    occurred_at=at,
                    received_at=at + timedelta(seconds=1),
                    message_id=uuid.UUID(int=base.random.getrandbits(128), version=4),
                    source_id=SOURCE_IDS[act.channel],
                    properties=act.properties,
                    context=context if act.channel == "web" else {"library": {"name": "shop-backend"}},
                )
            )
    return rows


def _consents(base: _Base) -> list[Consent]:
    random, rows = base.random, []
    sharing = {base.ids[index] for index in _SHARING}
    for pk, person, _ in base.rows:
        if not person.values or pk in sharing:
            continue
        for channel, purpose, share in (
            ("email", "newsletter", 0.62),
            ("email", "marketing", 0.35),
            ("sms", "marketing", 0.2),
        ):
            if random.random() > share or (channel == "sms" and not person.values.get("phone")):
                continue
            decided_ago = person.born * random.uniform(0.6, 1)
            rows.append(_consent(base, pk, person, channel, purpose, "granted", decided_ago, person.channel))
            if random.random() < 0.14:
                ago = decided_ago * random.random()
                rows.append(_consent(base, pk, person, channel, purpose, "withdrawn", ago, "web"))
    for index, state, ago in ((0, "granted", 3), (1, "granted", 2), (0, "withdrawn", 1)):
        pk, person = base.ids[_SHARING[index]], base.people[_SHARING[index]]
        rows.append(_consent(base, pk, person, "email", "newsletter", state, ago, "web"))
    return rows


def _consent(
    base: _Base,
    pk: int,
    person: MadeUpPerson,
    channel: str,
    purpose: str,
    state: str,
    ago: float,
    origin: str,
) -> Consent:
    proof = {"form": "https://shop.example/account"} if origin == "web" else {"via": origin}
    return Consent(
        profile_id=pk,
        channel=channel,
        purpose=purpose,
        state=state,
        at=base.when(ago),
        recorded_at=base.when(ago),
        wording="2026-01" if state == "granted" else "",
        proof=proof,
        address=person.values.get(_CONTACTS[channel]) or "",
        source_id=SOURCE_IDS[origin],
    )


def _notes(base: _Base) -> list[Note]:
    known = [(pk, person) for pk, person in zip(base.ids, base.people, strict=True) if person.values]
    chosen = base.random.sample(known, 90)
    return [
        Note(
            profile_id=pk,
            text=base.random.choice(NOTES),
            created_at=base.when(person.born * base.random.random()),
        )
        for pk, person in chosen
    ]


def _tags(base: _Base) -> list[ProfileTag]:
    random, rows = base.random, []
    for pk, person, acts in base.rows:
        if not person.values:
            continue
        names = [
            ("VIP", spent(acts) > 500),
            ("newsletter", "newsletter_topics" in person.attributes),
            ("wholesale", "company" in person.attributes and random.random() < 0.5),
            ("churn risk", spent(acts) > 200 and acts[-1].ago > 30),
            ("beta tester", random.random() < 0.05),
            ("called support", random.random() < 0.07),
        ]
        rows += [
            ProfileTag(
                profile_id=pk,
                tag_id=base.tags[name],
                source_id=SOURCE_IDS[person.channel],
                added_at=base.when(acts[-1].ago),
            )
            for name, applies in names
            if applies
        ]
    return rows


def _merge(base: _Base) -> int:
    """Some second profiles are found and merged already, two of those by mistake; the rest waits to be found."""
    by: dict[str, Any] = {"actor": Actor.system(), "source": builtin_source("staff")}
    twins = [(pk, person.twin_of) for pk, person, _ in base.rows if person.twin_of is not None]
    merges = [
        merge_profiles(winner_id=base.ids[twin_of], loser_id=pk, **by)
        for pk, twin_of in twins[: MERGED + UNMERGED]
    ]
    for merged in merges[MERGED:]:
        unmerge_profiles(merge_id=merged.merge_id, **by)
    return len(merges)
