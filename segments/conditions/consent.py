"""``{"consent": {"channel": "email", "purpose": "newsletter"}, "state": "granted"}``: what somebody decided, as it stands now.

It counts for the address they have: a later no of somebody else with the same address is a no of theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from profiles.consent.ledger import current_consents, day
from profiles.consent.reachable import Reachability, consenting_sql, reachability
from profiles.consent.words import WordList
from profiles.models import Profile
from segments.conditions.base import Condition, register
from segments.moments import Moment
from segments.nodes import Node, all_problems
from segments.person import Person, Reads, loaders
from segments.query import RuleQuery, Sql, both, fragment
from segments.vocabulary import Vocabulary

LOADER = "reachability"
# What decides whether somebody's yes counts for their address.
READS = Reads(
    fields=frozenset({"consents", "email", "phone", "identifiers"}),
    address=True,
    loads=frozenset({LOADER}),
)
_STATES = {
    "granted": "has agreed to {}",
    "withdrawn": "decided about {}, but has not agreed to it",
    "none": "never decided about {}",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What was agreed to: a channel, and a purpose or "" for any; ``contact`` is what the channel reaches somebody by."""

    channel: str
    purpose: str
    contact: str
    text: str

    @property
    def json(self) -> dict[str, str]:
        return {"channel": self.channel, **({"purpose": self.purpose} if self.purpose else {})}

    def of(self, person: Person) -> dict[str, Reachability]:
        """What the person decided, by purpose."""
        found: dict[tuple[str, str], Reachability] = person.extra[LOADER]
        return {
            purpose: reach
            for (channel, purpose), reach in sorted(found.items())
            if channel == self.channel and self.purpose in ("", purpose)
        }

    def consenting_sql(self, query: RuleQuery, *, with_address: bool = False) -> Sql:
        """“Their yes holds for the address they have”."""
        text = consenting_sql(
            channel="{channel}",
            purpose="{purpose}" if self.purpose else "",
            contact=self.contact,
            with_address=with_address,
            among="{among}",
        )
        select = fragment(
            text,
            channel=query.value(self.channel, "text"),
            purpose=query.value(self.purpose, "text"),
            among=query.scope_of("gp.canonical_id"),
        )
        return query.among(query.subquery(select))

    def decided_sql(self, query: RuleQuery) -> Sql:
        """“They decided, whatever it was”."""
        rows, root = query.rows_of_members("profiles_consent", "c")
        conditions = [
            fragment("c.channel = {channel}", channel=query.value(self.channel, "text")),
            query.scope,
        ]
        if self.purpose:
            conditions.append(fragment("c.purpose = {purpose}", purpose=query.value(self.purpose, "text")))
        select = fragment(f"SELECT {root} AS id FROM {rows} WHERE {{all}}", all=both(conditions))
        return query.among(query.subquery(select))


def read_asked(node: Node, vocabulary: Vocabulary) -> Asked:
    """``{"channel": "email", "purpose": "newsletter"}``, in any spelling the lists know. Raises Invalid with every problem."""
    node.only("channel", "purpose")
    lists = vocabulary.consent_lists
    attempts = [lambda: _word(node, "channel", lists.channels)]
    if "purpose" in node:
        attempts.append(lambda: _word(node, "purpose", lists.purposes))
    channel, *purposes = all_problems(attempts)
    purpose = purposes[0] if purposes else ""
    text = lists.text(channel, purpose) if purpose else f"{lists.channels.text(channel)} for any purpose"
    return Asked(channel, purpose, lists.contact_of(channel), text)


def _word(node: Node, key: str, words: WordList) -> str:
    raw = node.text(key)
    word = words.find(raw)
    if word is None:
        node.refuse(key, words.unknown(raw))
    return word.name


def _load(people: dict[int, Person], owner: dict[int, int]) -> None:
    roots = Profile.objects.filter(pk__in=people).only("email", "phone")
    reach = reachability(roots, current_consents(people))
    for pk, person in people.items():
        person.extra[LOADER] = reach.get(pk, {})


loaders.register(LOADER, _load)


@register
@dataclass(frozen=True)
class ConsentCondition(Condition):
    """``withdrawn`` is whoever decided and is not among the *granted*: also a yes of unknown time, or contradicted by
    somebody with the same address. So everybody is in one of the three states.
    """

    asked: Asked
    state: str

    key = "consent"
    label = "Consent"

    @classmethod
    def parse(cls, node: Node, vocabulary: Vocabulary) -> Self:
        node.only("consent", "state")
        asked, state = all_problems(
            [
                lambda: read_asked(node.child("consent"), vocabulary),
                lambda: node.choice("state", tuple(_STATES), default="granted"),
            ]
        )
        return cls(asked, state)

    @property
    def json(self) -> dict[str, Any]:
        return {"consent": self.asked.json, "state": self.state}

    @property
    def words(self) -> str:
        return _STATES[self.state].format(self.asked.text)

    @property
    def reads(self) -> Reads:
        if self.state == "none":
            return Reads(fields=frozenset({"consents"}), loads=READS.loads)
        return READS

    def holds(self, person: Person, moment: Moment) -> bool:
        found = self.asked.of(person)
        is_granted = any(reach.consent.is_granted and reach.other is None for reach in found.values())
        return {"granted": is_granted, "withdrawn": bool(found) and not is_granted, "none": not found}[
            self.state
        ]

    def actual(self, person: Person, moment: Moment) -> str:
        return describe(self.asked, person)

    def sql(self, query: RuleQuery) -> Sql:
        if self.state == "granted":
            return self.asked.consenting_sql(query)
        decided = self.asked.decided_sql(query)
        if self.state == "none":
            return fragment("NOT {decided}", decided=decided)
        granted = self.asked.consenting_sql(query)
        return fragment("{decided} AND NOT {granted}", decided=decided, granted=granted)


def describe(asked: Asked, person: Person) -> str:
    """What they decided, a sentence for each purpose: “They said no on 3 Mar 2026.”"""
    found = asked.of(person)
    sentences = [
        (f"{purpose}: " if not asked.purpose else "") + (reach.reason() or _yes(reach))
        for purpose, reach in found.items()
    ]
    return " ".join(sentences) or "They never decided."


def _yes(reach: Reachability) -> str:
    return f"They agreed on {day(reach.consent.at)}." if reach.consent.at else "They agreed."
