"""A big base, made by the database itself: profiles with identifiers, tags and journal, and their events.

Nobody's data: names are combined from short lists, addresses are at example.com, phones from a fictional range.
"""

from __future__ import annotations

from typing import Any

from django.db import connection

from profiles.builtin_sources import SOURCE_IDS
from profiles.models import EventName, IdentifierType, Tag

FIRST = (
    "Ann Bob Carla Dan Ewa Filip Greta Hugo Ines Jan Klara Lars Maja Noah Olivia Pedro Rosa Sven "
    "Tola Uma Vera Wim Xenia Yara Zoe Adam Beata Cyril Dora Emil Fiona Gustav Hanna Igor Julia "
    "Karol Lena Milan Nina Oskar "
).split()
LAST = (
    "Abel Berg Cruz Dahl Engel Faber Garcia Hansen Ivanov Jansen Kowalska Lindt Moreau Novak Olsen "
    "Petrov Quinn Rossi Schmidt Torres Urban Vogel Weber Xu Young Zeman Adler Brandt Costa Duda "
    "Ekman Fischer Gallo Horvat "
).split()
CITIES = (
    "Berlin Bergen Brno Gdańsk Graz Lille Lisboa Lund Lyon Malmö Milano Odense Porto Praha Sevilla Utrecht "
).split()
COUNTRIES = ["DE", "NO", "CZ", "PL", "AT", "FR", "PT", "SE", "FR", "SE", "IT", "DK", "PT", "CZ", "ES", "NL"]
EVENTS = ["Product Viewed", "Added to Cart", "Checkout Started", "Order Completed", "Page"]


def fill_profiles(count: int) -> None:
    """``count`` recognized people with four identifiers each, one journal row, every tenth with a tag."""
    types = {row.name: row.pk for row in IdentifierType.objects.all()}
    tag, _ = Tag.objects.get_or_create(name="vip")
    values: dict[str, Any] = {
        "n": count,
        "first": FIRST,
        "last": LAST,
        "cities": CITIES,
        "countries": COUNTRIES,
        "source": SOURCE_IDS["import"],
        "tag": tag.pk,
        **types,
    }
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
        cursor.execute("SELECT coalesce(max(id), 0) FROM profiles_profile")
        values["base"] = cursor.fetchone()[0]
        cursor.execute(_PROFILES, values)
        for statement in (_CUSTOMER, _EMAIL, _PHONE, _BROWSER, _TAGS, _JOURNAL):
            cursor.execute(statement, values)
        cursor.execute(
            "SELECT setval(pg_get_serial_sequence('profiles_profile', 'id'), (SELECT max(id) FROM profiles_profile))"
        )
        cursor.execute("VACUUM ANALYZE")


def fill_events(count: int) -> None:
    """``count`` events over a year, spread unevenly over the people there are."""
    names = [EventName.objects.get_or_create(name=name)[0].pk for name in EVENTS]
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
        cursor.execute("SELECT min(id), max(id) FROM profiles_profile")
        low, high = cursor.fetchone()
        step = 1_000_000
        for start in range(0, count, step):
            cursor.execute(
                _EVENTS,
                {
                    "low": low,
                    "span": high - low + 1,
                    "start": start,
                    "stop": min(count, start + step) - 1,
                    "names": names,
                    "source": SOURCE_IDS["web"],
                },
            )
        cursor.execute("VACUUM ANALYZE profiles_event")


_PROFILES = """
INSERT INTO profiles_profile (id, canonical_id, is_recognized, first_name, last_name, email, phone, city, country,
                              birth_date, attributes, source_id, created_at, first_seen_at, last_seen_at)
SELECT %(base)s + g, %(base)s + g, true,
       (%(first)s::text[])[1 + g %% array_length(%(first)s::text[], 1)],
       (%(last)s::text[])[1 + (g / 7) %% array_length(%(last)s::text[], 1)],
       'p' || (%(base)s + g) || '@example.com',
       '+4860' || lpad((%(base)s + g)::text, 7, '0'),
       (%(cities)s::text[])[1 + g %% array_length(%(cities)s::text[], 1)],
       (%(countries)s::text[])[1 + g %% array_length(%(countries)s::text[], 1)],
       date '1950-01-01' + g %% 20000,
       jsonb_build_object('plan', (array['free', 'pro', 'team'])[1 + g %% 3]),
       %(source)s,
       now() - g %% 900 * interval '1 day', now() - g %% 900 * interval '1 day', now() - g %% 90 * interval '1 hour'
FROM generate_series(1, %(n)s) g
"""
_IDENTIFIER = """
INSERT INTO profiles_identifier (type_id, value, raw, profile_id, source_id, resolves)
SELECT {type}, {value}, '', id, %(source)s, {resolves} FROM profiles_profile WHERE id > %(base)s
"""
_CUSTOMER = _IDENTIFIER.format(type="%(customer_id)s", value="'C-' || id", resolves="true")
_EMAIL = _IDENTIFIER.format(type="%(email)s", value="email", resolves="true")
_PHONE = _IDENTIFIER.format(type="%(phone)s", value="phone", resolves="false")
_BROWSER = _IDENTIFIER.format(type="%(anonymous_id)s", value="gen_random_uuid()::text", resolves="true")
_TAGS = """
INSERT INTO profiles_profiletag (profile_id, tag_id, source_id)
SELECT id, %(tag)s, %(source)s FROM profiles_profile WHERE id > %(base)s AND id %% 10 = 0
"""
_JOURNAL = """
INSERT INTO profiles_change (profile_id, kind, source_id, cause, at, fields)
SELECT id, 'created', %(source)s, 'request', created_at,
       jsonb_build_object('first_name', jsonb_build_array(null, first_name), 'email', jsonb_build_array(null, email))
FROM profiles_profile WHERE id > %(base)s
"""
# A few people are very active: the square of a random number is small more often.
_EVENTS = """
INSERT INTO profiles_event (profile_id, name_id, occurred_at, received_at, message_id, source_id, properties, context)
SELECT %(low)s + floor(random() * random() * %(span)s)::bigint,
       (%(names)s::bigint[])[1 + g %% array_length(%(names)s::bigint[], 1)],
       now() - random() * interval '365 days', now(), gen_random_uuid(), %(source)s,
       jsonb_build_object('sku', 'S-' || g %% 500, 'price', (g %% 20000) / 100.0), '{}'
FROM generate_series(%(start)s::bigint, %(stop)s::bigint) g
"""
