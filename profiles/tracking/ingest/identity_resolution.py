"""Whom each item of a call is about (I5-I8), decided in memory in the order of the items.

The strongest id that leads somewhere names the person. Weaker ids that lead nowhere yet are given to them; one
that leads to an anonymous profile joins it to them; one that leads to another recognized person joins nobody:
a soft one changes hands from this moment on, a hard one is kept for contact and becomes a suggestion.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field

from django.conf import settings

from profiles.tracking.ingest.candidates import Hit, Interval, Known, Person
from profiles.tracking.ingest.identifiers import Claim, Claims, Key
from profiles.tracking.parse.item_types import APPLIED, CONFLICT, MERGED, ItemProblem


@dataclass(slots=True)
class Landing:
    """Where an item goes: the person, and the member whose id led there (0: the person's own row)."""

    claims: Claims
    person: Person
    member_id: int
    outcome: str = APPLIED
    code: str = ""
    message: str = ""
    problems: list[ItemProblem] = field(default_factory=list)

    def clashes(self, code: str, message: str) -> None:
        self.outcome, self.code, self.message = CONFLICT, code, message


@dataclass(slots=True)
class Attach:
    """An identifier to give to a person. ``resolves`` is settled at the end, when values stopped moving."""

    landing: Landing
    claim: Claim
    leads: bool


@dataclass(slots=True)
class Join:
    winner: Person
    loser: Person
    landing: Landing
    claim: Claim


@dataclass(slots=True)
class Clash:
    """Two people who stay apart though a value leads from one to the other; ``reason`` when held (I10)."""

    landing: Landing
    person: Person
    other: Person
    claim: Claim
    reason: str = ""
    people: int = 0


@dataclass(slots=True)
class Decided:
    landings: list[Landing] = field(default_factory=list)
    new: list[Person] = field(default_factory=list)
    attached: list[Attach] = field(default_factory=list)
    joins: list[Join] = field(default_factory=list)
    clashes: list[Clash] = field(default_factory=list)
    passed: set[Key] = field(default_factory=set)
    touched: dict[int, tuple[datetime.datetime, bool]] = field(default_factory=dict)


class Decider:
    """Decides item after item. Asks only when two stored profiles are to be joined:

    ``merges_left()`` how many joins the source has left this hour (once), ``objection(a, b)`` the sentence of
    somebody's verdict that these two are not one person, or "".
    """

    def __init__(
        self,
        known: Known,
        *,
        is_web: bool,
        merges_left: Callable[[], int],
        objection: Callable[[int, int], str],
    ) -> None:
        self.known, self.is_web = known, is_web
        self._merges_left, self._objection = merges_left, objection
        self._left: int | None = None
        self.out = Decided()
        self._given: set[tuple[int, Key]] = set()

    def decide(self, claims: Claims) -> Landing:
        item = claims.item
        landing = self._land(claims)
        self.out.landings.append(landing)
        landing.person.now().saw(item.occurred_at)
        for claim in claims.strong:
            self._take_strong(claim, landing)
        for claim in claims.soft:
            self._take_soft(claim, landing)
        for claim in claims.contacts:
            self._give(claim, landing, leads=False)
        if claims.previous:
            self._alias(landing)
        return landing

    # --- The person -------------------------------------------------------------------------------------

    def _land(self, claims: Claims) -> Landing:
        at = claims.item.occurred_at
        for place, claim in enumerate(claims.strong):
            hit = self._owner(claim)
            if hit is not None and self._fits(hit.person.now(), claims.strong[:place]):
                self._touch(hit, claim, at)
                return Landing(claims, hit.person, hit.member_id)
        for claim in self._telling(claims.soft):
            hit = self._soft_owner(claim, at)
            if hit is not None and (not claims.strong or self._adopts(hit.person.now(), claim, claims)):
                self._touch(hit, claim, at)
                return Landing(claims, hit.person, hit.member_id)
        if not claims.leading:  # an alias of an id nobody knows, to be given to whoever has the old one
            for claim in claims.previous:
                if (hit := self._owner(claim)) is not None:
                    return Landing(claims, hit.person, hit.member_id)
        person = Person(0, is_new=True)
        self.out.new.append(person)
        return Landing(claims, person, 0)

    def _telling(self, soft: list[Claim]) -> list[Claim]:
        """Soft ids that may name the person: one of a shared device only when there is no other (I10)."""
        return [claim for claim in soft if claim.key not in self.known.shared] or soft

    def _owner(self, claim: Claim) -> Hit | None:
        return self.known.owners.get(claim.key)

    def _soft_owner(self, claim: Claim, at: datetime.datetime) -> Hit | None:
        """Whose the value was at that time."""
        for interval in self.known.intervals.get(claim.key, ()):
            if interval.holds(at):
                return Hit(interval.person, interval.member_id)
        return self._owner(claim)

    def _fits(self, person: Person, stronger: list[Claim]) -> bool:
        """Not when a stronger id is new and the person has all they may have of its type: somebody else (I7)."""
        for claim in stronger:
            limit = claim.spec.row.max_per_profile
            if limit is not None and self._owner(claim) is None:
                held = person.values[claim.spec.id]
                if claim.value not in held and len(held) >= limit:
                    return False
        return True

    def _adopts(self, person: Person, soft: Claim, claims: Claims) -> bool:
        """Whether somebody new to us by hard ids may be who this browser belongs to (I6, I8)."""
        if soft.key in self.known.shared or not claims.adopts:
            return False
        if any(self._owner(claim) is not None for claim in claims.strong):
            return False
        if not person.is_recognized:
            return True
        return not any(person.values[claim.spec.id] for claim in claims.strong)

    # --- Its ids ----------------------------------------------------------------------------------------

    def _take_strong(self, claim: Claim, landing: Landing) -> None:
        hit, person = self._owner(claim), landing.person.now()
        if hit is None:
            limit, held = claim.spec.row.max_per_profile, person.values[claim.spec.id]
            if limit is not None and claim.value not in held and len(held) >= limit:
                landing.problems.append(_too_many(claim, limit))
                self._give(claim, landing, leads=False)
            else:
                self._give(claim, landing, leads=True)
            return
        other = hit.person.now()
        if other is person:
            self._touch(hit, claim, landing.claims.item.occurred_at)
        elif self._may_join(person, other):
            self._join(person, other, claim, landing)
        else:
            self._give(claim, landing, leads=False)
            self._clash(claim, landing, person, other)

    def _take_soft(self, claim: Claim, landing: Landing) -> None:
        at, person = landing.claims.item.occurred_at, landing.person.now()
        owner = self._owner(claim)
        may_link = claim.key not in self.known.shared and landing.claims.adopts
        if owner is None:
            if may_link or not landing.claims.strong:
                self._give(claim, landing, leads=True)
            return
        hit = self._soft_owner(claim, at)
        other = hit.person.now() if hit else owner.person.now()
        if other is person:
            self._touch(owner, claim, at)
            return
        if not landing.claims.strong and len(landing.claims.soft) < 2:
            return  # this id alone led here, by an earlier interval
        if not may_link:
            return
        if not (person.is_recognized and other.is_recognized):
            if not (person.is_locked or other.is_locked):
                self._join(person, other, claim, landing)
            else:
                self._clash(claim, landing, person, other)
        elif hit is not None and self._is_current(claim, at):
            self._pass_on(claim, landing, other, hit.member_id, at)

    def _is_current(self, claim: Claim, at: datetime.datetime) -> bool:
        intervals = self.known.intervals.get(claim.key)
        begun = intervals[-1].end or intervals[-1].start if intervals else None
        return begun is None or at >= begun

    def _may_join(self, person: Person, other: Person) -> bool:
        """Two recognized people never (I7), locked ones neither (I11)."""
        if person.is_locked or other.is_locked:
            return False
        return not (person.is_recognized and other.is_recognized)

    def _give(self, claim: Claim, landing: Landing, *, leads: bool) -> None:
        person = landing.person.now()
        place = (id(person), claim.key)
        if place in self._given:
            return
        self._given.add(place)
        self.out.attached.append(Attach(landing, claim, leads))
        if leads:
            self.known.owners[claim.key] = Hit(person, landing.member_id)
            person.values[claim.spec.id].add(claim.value)
            if claim.spec.makes_recognized:
                person.is_recognized = True

    def _touch(self, hit: Hit, claim: Claim, at: datetime.datetime) -> None:
        if not hit.identifier_id:
            return
        verified = claim.is_verified and not hit.is_verified
        is_old = hit.last_seen_at is None or at - hit.last_seen_at > datetime.timedelta(hours=1)
        if verified or is_old:
            before = self.out.touched.get(hit.identifier_id, (at, False))
            self.out.touched[hit.identifier_id] = (max(before[0], at), before[1] or verified)

    # --- Two profiles -----------------------------------------------------------------------------------

    def _join(self, person: Person, other: Person, claim: Claim, landing: Landing) -> None:
        """Make two profiles one: the recognized one survives, then the one the call is about."""
        winner, loser = (
            (other, person) if other.is_recognized and not person.is_recognized else (person, other)
        )
        if loser.is_new:
            self._fold(winner, loser)
            return
        if winner.is_new:  # nothing of it is stored yet: what it brings goes to the other
            other_recognized = loser.is_recognized or winner.is_recognized
            self._fold(loser, winner)
            loser.is_recognized = other_recognized
            return
        if self._left is None:
            self._left = self._merges_left()
        if self._left <= 0:
            self._clash(claim, landing, person, other, reason="rate")
            return
        if sentence := self._objection(winner.id, loser.id):
            landing.clashes("verdict", sentence)
            return
        self._left -= 1
        self.out.joins.append(Join(winner, loser, landing, claim))
        landing.outcome = MERGED
        self._fold(winner, loser)

    def _fold(self, winner: Person, loser: Person) -> None:
        loser.joined = winner
        winner.is_recognized = winner.is_recognized or loser.is_recognized
        for kind, values in loser.values.items():
            winner.values[kind] |= values
        for at in (loser.since, loser.until):
            if at is not None:
                winner.saw(at)

    def _pass_on(
        self, claim: Claim, landing: Landing, other: Person, member_id: int, at: datetime.datetime
    ) -> None:
        """The browser is another person's from now on; what happened before stays where it is (I8)."""
        person = landing.person.now()
        intervals = self.known.intervals.get(claim.key) or [Interval(other, member_id, None, None)]
        hands = {interval.person.now() for interval in intervals} | {person}
        if person not in {interval.person.now() for interval in intervals} and (
            len(hands) >= settings.CDP_BREAKER_PEOPLE
        ):
            self._clash(claim, landing, person, other, reason="value", people=len(hands))
            return
        ended = intervals[-1].end
        if ended is not None:  # whoever had it was deleted, then it was somebody's anew
            intervals.append(Interval(other, member_id, ended, at))
        intervals[-1].end = at
        intervals.append(Interval(person, landing.member_id, at, None))
        self.known.intervals[claim.key] = intervals
        self.out.passed.add(claim.key)
        self._given.discard((id(person), claim.key))
        self._give(claim, landing, leads=True)
        landing.problems.append(
            {
                "code": "changed_hands",
                "pointer": claim.pointer,
                "value": claim.raw,
                "message": f"This {claim.spec.row} belonged to profile #{other.id} until now; earlier events stay there.",
            }
        )

    def _clash(
        self,
        claim: Claim,
        landing: Landing,
        person: Person,
        other: Person,
        *,
        reason: str = "",
        people: int = 0,
    ) -> None:
        self.out.clashes.append(Clash(landing, person, other, claim, reason, people))
        if reason:
            landing.clashes(
                "held", f"{claim.spec.row} {claim.raw} would join more people than allowed; it waits in Held."
            )
        else:
            kept = "it stays there" if claim.is_soft else "kept here for contact only"
            landing.clashes(
                "identifier_clash", f"{claim.spec.row} {claim.raw} leads to another person; {kept}."
            )

    def _alias(self, landing: Landing) -> None:
        """``previousId`` and ``userId`` are one person, says the sender; a public key may say it of nobody known."""
        for claim in landing.claims.previous:
            hit = self._owner(claim)
            if hit is None:
                continue
            person, other = landing.person.now(), hit.person.now()
            if person is other:
                return
            if claim.key in self.known.shared:
                landing.problems.append(_shared(claim))
                return
            both = person.is_recognized and other.is_recognized
            if person.is_locked or other.is_locked or (both and self.is_web):
                self._clash(claim, landing, person, other)
            else:
                self._join(person, other, claim, landing)
            return
        self._give(landing.claims.previous[0], landing, leads=True)


def _shared(claim: Claim) -> ItemProblem:
    return {
        "code": "shared_device",
        "pointer": claim.pointer,
        "value": claim.raw[:255],
        "message": f"{claim.spec.row} {claim.raw} is a shared device; it joins nobody.",
    }


def _too_many(claim: Claim, limit: int) -> ItemProblem:
    return {
        "code": "too_many",
        "pointer": claim.pointer,
        "value": claim.raw[:255],
        "message": f"One person has at most {limit} {claim.spec.name}; this one is kept for contact only.",
    }
