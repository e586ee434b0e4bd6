"""A search text → profiles: any identifier in any format, an id, a name or parts of it, also of merged-away rows.

Two kinds of result, by how many profiles match (measured at a million profiles):

- Up to ``CANDIDATES`` matches: their ids are the answer. The list then filters and sorts this handful.
- More (“an”): nobody reads them all, so nothing is collected or sorted. Matches are then so dense that
  walking the list's own index and testing each row fills a page within a few hundred rows. Words that are
  common in a sample are not even looked for: the index gives the first match of a beginning after reading all.

Values are normalized by every identifier type, as when they are stored; words are split by the database
with the very expression that fills ``Profile.search``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.search import SearchQuery
from django.db import connection
from django.db.models import BigIntegerField, BooleanField, F, Func, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.lookups import IsNull

from cdp.limits import TooSlow, time_limit
from profiles.identity.lookup import clean_pair
from profiles.identity.types import TypeSpec, find_type, identifier_types
from profiles.models import Identifier, Profile
from profiles.models.search import ENDING, words_sql
from profiles.search.slips import with_one_slip

CANDIDATES = 1000
SAMPLED = 128
# Fewer digits end very many phones.
LEAST_ENDING = 4
MAX_LENGTH = 200
MILLISECONDS = 2000
# Of people who are only spelled alike a handful is enough.
SIMILAR = 50
SIMILAR_MILLISECONDS = 300

# What people write between the digits of a phone number.
_PHONE = re.compile(r"[+(]?[0-9][0-9 ()./-]*", re.ASCII)
_ID = re.compile(r"#?([0-9]{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class SearchHit:
    """Why a profile was found. ``member_id`` is the row that matched, ``root_id`` the surviving profile.

    ``how``: ``id``, ``identifier`` (the whole value), ``prefix`` (its beginning), ``words``, or ``similar`` (words with one
    letter wrong).
    ``field`` names the identifier type, ``value`` is its value (both empty for words and ids), ``name``
    is what the matching row itself is called. ``is_pending``: the value waits for its owner to confirm it.
    """

    root_id: int
    member_id: int
    how: str
    field: str = ""
    label: str = ""
    value: str = ""
    name: str = ""
    is_pending: bool = False
    is_recognized: bool = False

    @property
    def is_exact(self) -> bool:
        return self.how in ("id", "identifier")

    def explain(self, mask: Callable[[str, Any], Any] = lambda field, value: value) -> str:
        """“Found as …” when the reason is not visible in the profile's row; empty otherwise.

        ``mask(field, value)`` hides personal data from users without *view PII*.
        """
        is_merged = self.member_id != self.root_id
        if self.how == "similar" and not is_merged:
            return "Spelled nearly like that"
        if self.how in ("identifier", "prefix"):
            display = mask(self.field, self.value) + (
                " (waiting for confirmation)" if self.is_pending else ""
            )
            if is_merged:
                label = self.label if self.label[1:2].isupper() else self.label[:1].lower() + self.label[1:]
                return f"Found as an old {label}: {display}, from merged-away #{self.member_id}"
            return f"Found by {self.label}: {display}"
        if is_merged:
            name = mask("name", self.name) if self.name else ""
            return f"Found as merged-away #{self.member_id}" + (f" ({name})" if name else "")
        return ""


@dataclass(frozen=True)
class SearchResult:
    """What the search found.

    ``hits``: one per profile, best reason first. ``is_capped``: there are more matches than ``hits``.
    ``gone``: ids of deleted profiles the text names exactly; they are in the trash, not in the list.
    """

    text: str
    hits: tuple[SearchHit, ...] = ()
    is_capped: bool = False
    gone: tuple[int, ...] = ()
    tsquery: str = ""
    prefixes: tuple[str, ...] = ()

    @cached_property
    def by_root(self) -> dict[int, SearchHit]:
        return {hit.root_id: hit for hit in self.hits}

    @property
    def exact_ids(self) -> list[int]:
        """Profiles the text names exactly, by id or identifier; they come first."""
        return [hit.root_id for hit in self.hits if hit.is_exact]

    @property
    def condition(self) -> Q:
        """Exactly the profiles that match, as a condition on roots."""
        if not self.is_capped:
            return _any_of(self.by_root)
        merged = Profile.objects.exclude(canonical_id=F("pk")).filter(self._words_condition)
        identifiers = Identifier.objects.filter(self._prefixed)
        # Arrays, which indexes can be asked for; subqueries would be compared with every row there is.
        matches = self._words_condition | _any_of(self.by_root) | Q(_among(merged.values("canonical_id")))
        return matches | Q(_among(identifiers.values("profile__canonical_id"))) if self.prefixes else matches

    @property
    def page_condition(self) -> Q:
        """Like ``condition`` but quick to page through when too many match: then a profile whose only
        match is on a merged-away row, beyond the collected ones, may be passed over."""
        if not self.is_capped:
            return self.condition
        identifiers = Identifier.objects.filter(self._prefixed, profile_id=OuterRef("pk"))
        matches = self._words_condition | _any_of(self.by_root)
        # Not EXISTS: that the planner would answer by reading every such identifier first.
        return (
            matches | Q(IsNull(Subquery(identifiers.order_by().values("pk")[:1]), False))
            if self.prefixes
            else matches
        )

    @property
    def _words_condition(self) -> Q:
        if not self.tsquery:
            return Q(pk__in=[])
        return Q(search=SearchQuery(self.tsquery, search_type="raw", config="simple"))

    @property
    def _prefixed(self) -> Q:
        condition = Q(pk__in=[])
        for prefix in self.prefixes:
            condition |= Q(value__startswith=prefix)
        return condition


def search(text: str, *, status: str = Profile.Status.LIVE) -> SearchResult:
    """The profiles of this status that the text may mean. Always the same few queries, limited in time."""
    text = " ".join(text.replace("\x00", " ").split())[:MAX_LENGTH]
    if not text:
        return SearchResult(text)
    types = identifier_types()
    exact, prefixes = _values(text, types), _prefixes(text)
    tsquery = ""
    try:
        # A sequential scan looks cheap to the planner because of the LIMIT; with few matches it reads it all.
        with time_limit(MILLISECONDS, enable_seqscan="off"):
            tsquery = _tsquery(text)
            is_frequent = bool(tsquery) and _guess(tsquery) > CANDIDATES * 10
            limit = CANDIDATES // 10 if is_frequent else CANDIDATES
            rows = _candidates(text, exact, prefixes, "" if is_frequent else tsquery, limit=limit)
    except TooSlow:
        return SearchResult(text, is_capped=True, tsquery=tsquery, prefixes=prefixes)
    labels = {spec.id: (spec.name, str(spec.row)) for spec in types.values()}
    hits = [_hit(row, labels) for row in rows if row[3] == status]
    if sum(row[2] == "prefix" for row in rows) <= limit:
        prefixes = ()  # all of them are among the hits
    is_capped = is_frequent or len(rows) > limit or status != Profile.Status.LIVE
    if is_capped and any(hit.how == "identifier" for hit in hits):
        # A profile has exactly this identifier; the many that share some words of it are not meant.
        hits, is_capped = [hit for hit in hits if hit.how != "words"], False
    if not rows and tsquery and not is_frequent:
        hits = _similar(tsquery, labels, status)
    gone = {row[1] for row in rows if row[3] == Profile.Status.DELETED and row[2] in ("id", "identifier")}
    return SearchResult(text, _best(hits), is_capped, tuple(sorted(gone)), tsquery, prefixes)


def _similar(tsquery: str, labels: dict[int, tuple[str, str]], status: str) -> list[SearchHit]:
    """Nothing matches: profiles with one letter of it wrong. One query more, limited in time."""
    spellings = with_one_slip(tsquery)
    if not spellings:
        return []
    try:
        with time_limit(SIMILAR_MILLISECONDS, enable_seqscan="off"):
            rows = _candidates("", [], (), spellings, limit=SIMILAR, how="similar")
    except TooSlow:
        return []
    return [_hit(row, labels) for row in rows if row[3] == status][:SIMILAR]


def _values(text: str, types: dict[str, TypeSpec]) -> list[str]:
    """The text as each identifier type would store it; ``type:value`` asks that type alone."""
    name, separator, rest = text.partition(":")
    if separator and (spec := find_type(types, name)):
        text, types = rest.strip(), {spec.name: spec}
    pairs = (clean_pair(spec, text) for spec in types.values())
    return sorted({text, *(value for _, value in filter(None, pairs))}) if text else []


def _prefixes(text: str) -> tuple[str, ...]:
    """Beginnings of identifiers to look for: from two characters, as typed, in lower case and in capitals."""
    if len(text) < 2 or " " in text:
        return ()
    return tuple(sorted({text, text.lower(), text.upper()}))


def _tsquery(text: str) -> str:
    """Every word as a prefix, joined by AND; a phone number as one run of digits, or as its end. At most one query."""
    numbers, ending = _phone_digits(text), _phone_ending(text)
    if numbers:
        return " | ".join(f"'{word}':*" for word in (*numbers, ending))
    sql = (
        "SELECT string_agg(q || replace(replace(word, '\\', '\\\\'), q, q || q) || q || ':*', ' & ')"
        f" FROM unnest(tsvector_to_array(to_tsvector('simple', {words_sql('%(text)s::text')}))) word, chr(39) q"
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, {"text": text})
        words = cursor.fetchone()[0] or ""
    if not (words and ending):
        return words
    # Written with blanks, the digits may be the beginning of a number, too.
    digits = re.sub(r"[^0-9]", "", text)
    return " | ".join([words, f"'{ending}':*", *([f"'{digits}':*"] if digits != text else [])])


def _coarse(tsquery: str) -> str:
    """The query without words of one letter, where others are left: very many words begin with any letter,
    and the index would read them all (“C-20417”)."""
    prefixes = tsquery.split(" & ")
    return " & ".join([prefix for prefix in prefixes if len(prefix) > len("'c':*")] or prefixes)


def _guess(tsquery: str) -> int:
    """About how many profiles have these words, estimated from ``SAMPLED`` pages, the same ones every time.

    Not the planner's guess: statistics of the hundred commonest words say little about beginnings of others.
    """
    pages = "greatest(1, pg_relation_size('profiles_profile') / current_setting('block_size')::int)"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT round(count(*) * greatest(1, {pages} / {SAMPLED}.0)) FROM profiles_profile"
            f" TABLESAMPLE SYSTEM (least(100, {SAMPLED}00.0 / {pages})) REPEATABLE (1)"
            " WHERE search @@ to_tsquery('simple', %s)",
            [tsquery],
        )
        return int(cursor.fetchone()[0])


def _phone_digits(text: str) -> list[str]:
    """The beginnings of what a phone is indexed by: all digits, without leading zeros, the last nine."""
    if not _PHONE.fullmatch(text):
        return []
    digits = re.sub(r"[^0-9]", "", text)
    bare = digits.lstrip("0")
    # Fewer digits are a house number, a postcode, a customer number: words like any other.
    return sorted({digits, bare, bare[-9:]}) if len(bare) >= 7 else []


def _phone_ending(text: str) -> str:
    """The word of the index that begins with these last digits of a phone, from behind, or ""."""
    digits = re.sub(r"[^0-9]", "", text) if _PHONE.fullmatch(text) else ""
    bare = digits.lstrip("0")
    # A whole national number has zeros before it that the international one lacks; a few last digits are as they are.
    last = bare if len(bare) >= 7 else digits
    return ENDING + last[::-1] if len(last) >= LEAST_ENDING else ""


def _candidates(
    text: str,
    exact: list[str],
    prefixes: Iterable[str],
    tsquery: str,
    *,
    limit: int,
    how: str = "words",
) -> list[tuple[Any, ...]]:
    """Rows of (member, root, how, root's status, type, value, name …), best first, of each kind one more than
    ``limit`` at most. One query."""
    match = _ID.fullmatch(text)
    columns = "id, canonical_id, status, is_recognized, first_name, last_name"
    like = [prefix.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%" for prefix in prefixes]
    branches = [
        "(SELECT id AS member, 0 AS rank, 'id' AS how, NULL::int AS type_id, '' AS value, false AS waits"
        " FROM profiles_profile WHERE id = %(id)s)",
        "(SELECT profile_id, 1, 'identifier', type_id, value, is_pending FROM profiles_identifier"
        " WHERE value = ANY(%(exact)s) LIMIT %(limit)s)",
        # One branch per prefix: with ANY the index would not be used for LIKE.
        *(
            "(SELECT profile_id, 2, 'prefix', type_id, value, is_pending FROM profiles_identifier"
            f" WHERE value LIKE %(like{number})s LIMIT %(limit)s)"
            for number in range(len(like))
        ),
    ]
    words_branch = coarse = ""
    if tsquery:
        # A whole address that a profile has: others with the same provider in their address are not meant.
        known = " AND NOT EXISTS (SELECT FROM profiles_identifier WHERE value = ANY(%(exact)s))"
        # IS TRUE keeps the second condition from the index.
        finer = (
            ""
            if (coarse := _coarse(tsquery)) == tsquery
            else (" AND (search @@ to_tsquery('simple', %(tsquery)s)) IS TRUE")
        )
        # The row is at hand: looking it up again would double what a thousand matches cost.
        words_branch = (
            f" UNION ALL (SELECT {columns}, 3, '{how}', NULL, '', false FROM profiles_profile"
            f" WHERE search @@ to_tsquery('simple', %(coarse)s){finer}"
            f"{known if '@' in text else ''} LIMIT %(limit)s)"
        )
    # Only a merged-away row has another one for a root; NULL is looked up nowhere.
    sql = (
        "SELECT m.id, m.canonical_id, m.how, coalesce(r.status, m.status), m.type_id, m.value,"
        " m.first_name, m.last_name, m.waits, coalesce(r.is_recognized, m.is_recognized)"
        f" FROM (SELECT {columns}, f.rank, f.how, f.type_id, f.value, f.waits"
        f" FROM ({' UNION ALL '.join(branches)}) f JOIN profiles_profile ON id = f.member{words_branch}) m"
        " LEFT JOIN profiles_profile r ON r.id = nullif(m.canonical_id, m.id)"
        " ORDER BY m.rank, m.waits, m.id <> m.canonical_id, m.id DESC"
    )
    params: dict[str, Any] = {
        "id": int(match[1]) if match else None,
        "exact": exact,
        "tsquery": tsquery,
        "coarse": coarse,
        "limit": limit + 1,
        **{f"like{number}": pattern for number, pattern in enumerate(like)},
    }
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _any_of(ids: Iterable[int]) -> Q:
    """One parameter for them all: a thousand cost Django and the driver longer than the database."""
    return Q(_in_array(Value(list(ids), output_field=ArrayField(BigIntegerField()))))


def _among(ids: QuerySet[Any]) -> Func:
    return _in_array(ArraySubquery(ids.order_by()))


def _in_array(ids: Any) -> Func:
    return Func(
        F("pk"),
        ids,
        template="%(expressions)s)",
        arg_joiner=" = ANY (",
        output_field=BooleanField(),
    )


def _hit(row: tuple[Any, ...], labels: dict[int, tuple[str, str]]) -> SearchHit:
    member, root, how, _, type_id, value, first, last, is_pending, is_recognized = row
    field, label = labels.get(type_id, ("", ""))
    name = " ".join(filter(None, (first, last)))
    return SearchHit(root, member, how, field, label, value, name, is_pending, is_recognized)


def _best(hits: list[SearchHit]) -> tuple[SearchHit, ...]:
    """The first (best) hit of each profile; a prefix or word hit on the surviving row needs no explanation
    before one that comes from a merged-away row."""
    best: dict[int, SearchHit] = {}
    for hit in hits:
        best.setdefault(hit.root_id, hit)
    return tuple(best.values())
