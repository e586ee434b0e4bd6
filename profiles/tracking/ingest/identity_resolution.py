"""Identifiers of a call's items, and what is known about them → a plan of whom each item is about. No query.

Items are resolved in their order, in memory. The strongest identifier that resolves names the profile. Weaker
identifiers that resolve to nobody yet are given to it; one of an anonymous profile merges that profile into it; one
of another recognized profile merges nobody: a soft value changes owner from this moment on, a hard one is kept for
contact and becomes a duplicate suggestion. A value that comes with too many e-mail addresses names nobody until
somebody decides.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable

from django.conf import settings

from profiles.identity.presets import CONTACTS, EMAIL
from profiles.tracking.ingest.call_plan import IdentifierGrant, KeptApart, Plan, PlannedMerge, Resolution
from profiles.tracking.ingest.candidates import (
    CandidateProfile,
    IdentifierOwner,
    KnownIdentifiers,
    OwnershipInterval,
)
from profiles.tracking.ingest.identifier_problems import (
    changed_hands,
    not_linked,
    shared_by_people,
    stays_with_owner,
    too_many,
    waits_for_confirmation,
)
from profiles.tracking.ingest.identifiers import ItemIdentifiers, Key, SentIdentifier
from profiles.tracking.parse.item_types import MERGED

_TOUCH_AFTER = datetime.timedelta(hours=1)


# Whether the stored events of a profile have a soft value after a time: (root id, identifier, time).
SeenAfter = Callable[[int, SentIdentifier, datetime.datetime], bool]


def resolve(
    items: Iterable[ItemIdentifiers],
    known: KnownIdentifiers,
    *,
    is_web: bool,
    may_merge_recognized: bool,
    merges_left: Callable[[], int],
    objection: Callable[[int, int], str],
    seen_after: SeenAfter,
) -> Plan:
    """Whom each item is about, and all that follows from it. ``known`` is used up.

    ``is_web`` is a call that everybody can send. ``may_merge_recognized`` lets an alias merge two known people.

    Asked only when two stored profiles are to be merged: ``merges_left()`` how many merges the source has left this
    hour (once), ``objection(a, b)`` the sentence of staff's verdict that these two are different people, or "".
    ``seen_after`` is asked only where a soft value would change owner.
    """
    resolver = _Resolver(
        known,
        is_web=is_web,
        may_merge_recognized=may_merge_recognized,
        merges_left=merges_left,
        objection=objection,
        seen_after=seen_after,
    )
    for item in items:
        resolver.resolve(item)
    return resolver.plan()


class _Resolver:
    """Resolves item after item; what one of them changes counts for the next."""

    def __init__(
        self,
        known: KnownIdentifiers,
        *,
        is_web: bool,
        may_merge_recognized: bool,
        merges_left: Callable[[], int],
        objection: Callable[[int, int], str],
        seen_after: SeenAfter,
    ) -> None:
        self.known, self.is_web, self._may_merge_recognized = known, is_web, may_merge_recognized
        self._ask_merges_left, self._objection, self._seen_after = merges_left, objection, seen_after
        self._merges_left: int | None = None
        self._resolutions: list[Resolution] = []
        self._new: list[CandidateProfile] = []
        self._grants: list[IdentifierGrant] = []
        self._merges: list[PlannedMerge] = []
        self._kept_apart: list[KeptApart] = []
        self._moved: set[Key] = set()
        self._released: set[int] = set()
        self._touched: dict[int, tuple[datetime.datetime, bool]] = {}
        self._granted: set[tuple[int, Key]] = set()

    def plan(self) -> Plan:
        return Plan(
            resolutions=tuple(self._resolutions),
            new_profiles=tuple(profile for profile in self._new if profile.merged_into is None),
            grants=tuple(self._grants),
            merges=tuple(self._merges),
            kept_apart=tuple(self._kept_apart),
            owners={key: owner.profile for key, owner in self.known.owners.items()},
            moved={key: tuple(self.known.intervals[key]) for key in self._moved},
            released=frozenset(self._released),
            touched=self._touched,
            members=self.known.members,
        )

    def resolve(self, identifiers: ItemIdentifiers) -> None:
        resolution = self._find_profile(identifiers)
        self._resolutions.append(resolution)
        resolution.was_recognized = resolution.profile.survivor().is_recognized
        resolution.profile.survivor().record_activity(identifiers.item.occurred_at)
        for identifier in identifiers.strong:
            self._take_strong(identifier, resolution)
        for identifier in identifiers.soft:
            self._take_soft(identifier, resolution)
        for identifier in identifiers.contacts:
            self._grant(identifier, resolution, may_resolve=False)
        if identifiers.previous:
            self._alias(resolution)

    # --- The profile ------------------------------------------------------------------------------------

    def _find_profile(self, identifiers: ItemIdentifiers) -> Resolution:
        at = identifiers.item.occurred_at
        for position, identifier in enumerate(identifiers.strong):
            owner = self._owner(identifier)
            if owner is None or self._gathered(owner.profile.survivor(), identifier, identifiers):
                continue
            if self._fits(owner.profile.survivor(), identifiers.strong[:position]):
                self._touch(owner, identifier, at)
                return Resolution(identifiers, owner.profile, owner.member_id)
        for identifier in self._naming(identifiers.soft):
            owner = self._owner_at(identifier, at)
            if owner is not None and (
                not identifiers.strong or self._adopts(owner.profile.survivor(), identifier, identifiers)
            ):
                self._touch(owner, identifier, at)
                return Resolution(identifiers, owner.profile, owner.member_id)
        if not identifiers.resolving:  # an alias of an id nobody has: it goes to the owner of the old one
            for identifier in identifiers.previous:
                if (owner := self._owner(identifier)) is not None:
                    return Resolution(identifiers, owner.profile, owner.member_id)
        profile = CandidateProfile(0, is_new=True)
        self._new.append(profile)
        return Resolution(identifiers, profile, 0)

    def _naming(self, soft: list[SentIdentifier]) -> list[SentIdentifier]:
        """Soft ids that may name the profile: one of a shared device only when there is no other."""
        return [identifier for identifier in soft if identifier.key not in self.known.shared] or soft

    def _owner(self, identifier: SentIdentifier) -> IdentifierOwner | None:
        return self.known.owners.get(identifier.key)

    def _owner_at(self, identifier: SentIdentifier, at: datetime.datetime) -> IdentifierOwner | None:
        """Whose the value was at that time."""
        for interval in self.known.intervals.get(identifier.key, ()):
            if interval.covers(at):
                return IdentifierOwner(interval.profile, interval.member_id)
        return self._owner(identifier)

    def _fits(self, profile: CandidateProfile, stronger: list[SentIdentifier]) -> bool:
        """Not when a stronger id is new and the profile has all it may have of its type: somebody else."""
        return not any(
            self._owner(identifier) is None and self._is_full(profile, identifier) for identifier in stronger
        )

    def _gathered(
        self, profile: CandidateProfile, identifier: SentIdentifier, identifiers: ItemIdentifiers
    ) -> int:
        """How many addresses the owner of this value would have, when so many say that it identifies nobody; else 0."""
        if identifier.spec.name == EMAIL:
            return 0
        for email in identifiers.strong:
            values = profile.values[email.spec.id]
            if email.spec.name == EMAIL and email.value not in values:
                owner = self._owner(email)
                is_own = owner is not None and owner.profile.survivor() is profile
                count = len(values) + 1
                return count if not is_own and count >= settings.CDP_BREAKER_PEOPLE else 0
        return 0

    def _is_full(self, profile: CandidateProfile, identifier: SentIdentifier) -> bool:
        """Whether the profile may not be given this value, having as many of its type as are allowed."""
        limit, values = identifier.spec.row.max_per_profile, profile.values[identifier.spec.id]
        return limit is not None and identifier.value not in values and len(values) >= limit

    def _adopts(self, profile: CandidateProfile, soft: SentIdentifier, identifiers: ItemIdentifiers) -> bool:
        """Whether somebody with new hard ids may be the owner of this browser."""
        if soft.key in self.known.shared or not identifiers.adopts:
            return False
        if any(self._owner(identifier) is not None for identifier in identifiers.strong):
            return False
        if not profile.is_recognized:
            return True
        return not any(profile.values[identifier.spec.id] for identifier in identifiers.strong)

    # --- Its identifiers --------------------------------------------------------------------------------

    def _take_strong(self, identifier: SentIdentifier, resolution: Resolution) -> None:
        owner, profile = self._owner(identifier), resolution.profile.survivor()
        if owner is None and self._must_be_confirmed(identifier, resolution):
            identifier.is_pending = True
            resolution.problems.append(waits_for_confirmation(identifier))
            self._grant(identifier, resolution, may_resolve=False)
            return
        if owner is None:
            is_full = self._is_full(profile, identifier)
            if is_full:
                resolution.problems.append(too_many(identifier))
            self._grant(identifier, resolution, may_resolve=not is_full)
            return
        owning = owner.profile.survivor()
        if owning is profile:
            self._touch(owner, identifier, resolution.item.occurred_at)
        elif count := self._gathered(owning, identifier, resolution.identifiers):
            self._keep_apart(identifier, resolution, profile, owning, reason="value", profile_count=count)
        elif _may_merge(profile, owning):
            self._merge(profile, owning, identifier, resolution)
        else:
            self._grant(identifier, resolution, may_resolve=False)
            self._keep_apart(identifier, resolution, profile, owning)

    def _must_be_confirmed(self, identifier: SentIdentifier, resolution: Resolution) -> bool:
        """An address that a page adds to a known person, by nothing but that person's userId."""
        is_unproven = self.is_web and not resolution.identifiers.secret
        return is_unproven and resolution.was_recognized and identifier.spec.name in CONTACTS

    def _take_soft(self, identifier: SentIdentifier, resolution: Resolution) -> None:
        at, profile = resolution.item.occurred_at, resolution.profile.survivor()
        owner = self._owner(identifier)
        may_link = identifier.key not in self.known.shared and resolution.identifiers.adopts
        if owner is None:
            if may_link or not resolution.identifiers.strong:
                self._grant(identifier, resolution, may_resolve=True)
            elif identifier.key in self.known.shared:
                resolution.problems.append(not_linked(identifier))
            return
        owner_then = self._owner_at(identifier, at)
        owning = owner_then.profile.survivor() if owner_then else owner.profile.survivor()
        if owner.profile.survivor() is profile:
            owner.record_seen(at)
        if owning is profile:
            self._touch(owner, identifier, at)
            return
        if not resolution.identifiers.strong and len(resolution.identifiers.soft) < 2:
            return  # this id alone resolved, by an earlier interval
        if not may_link:
            if identifier.key in self.known.shared:
                resolution.problems.append(not_linked(identifier))
            return
        if not (profile.is_recognized and owning.is_recognized):
            if _may_merge(profile, owning):
                self._merge(profile, owning, identifier, resolution)
            else:
                self._keep_apart(identifier, resolution, profile, owning)
        elif owner_then is not None and self._may_change_owner(identifier, owner, resolution):
            self._change_owner(identifier, resolution, owning, owner_then.member_id, at)
        elif owner.profile.survivor() is not profile:
            resolution.problems.append(stays_with_owner(identifier, owner.profile.survivor()))

    def _may_change_owner(
        self, identifier: SentIdentifier, owner: IdentifierOwner, resolution: Resolution
    ) -> bool:
        """Not by a call that comes late: its owner had it after that moment. Nor by one that is sent again.

        SDKs fill in the ids of whoever is signed in by then; only an identify names the person itself.
        """
        item, at, owning = resolution.item, resolution.item.occurred_at, owner.profile.survivor()
        intervals = self.known.intervals.get(identifier.key)
        begun = intervals[-1].end or intervals[-1].start if intervals else None
        if item.is_retry and item.kind != "identify":
            return False
        if (begun is not None and at < begun) or owner.was_seen_after(at):
            return False
        return not (owner.identifier_id and self._seen_after(owning.id, identifier, at))

    def _grant(self, identifier: SentIdentifier, resolution: Resolution, *, may_resolve: bool) -> None:
        profile = resolution.profile.survivor()
        granted = (id(profile), identifier.key)
        if granted in self._granted:
            return
        self._granted.add(granted)
        self._grants.append(IdentifierGrant(resolution, identifier, may_resolve))
        if may_resolve:
            at = resolution.item.occurred_at
            self.known.owners[identifier.key] = IdentifierOwner(profile, resolution.member_id, seen_until=at)
            profile.values[identifier.spec.id].add(identifier.value)
            if identifier.spec.makes_recognized:
                profile.is_recognized = True

    def _touch(self, owner: IdentifierOwner, identifier: SentIdentifier, at: datetime.datetime) -> None:
        if not owner.identifier_id:
            return
        verified = identifier.is_verified and not owner.is_verified
        is_old = owner.last_seen_at is None or at - owner.last_seen_at > _TOUCH_AFTER
        if verified or is_old:
            before = self._touched.get(owner.identifier_id, (at, False))
            self._touched[owner.identifier_id] = (max(before[0], at), before[1] or verified)

    # --- Two profiles -----------------------------------------------------------------------------------

    def _merge(
        self,
        profile: CandidateProfile,
        owning: CandidateProfile,
        identifier: SentIdentifier,
        resolution: Resolution,
    ) -> None:
        """Make two profiles one: the recognized one survives, else the one the item is about."""
        winner, loser = (
            (owning, profile) if owning.is_recognized and not profile.is_recognized else (profile, owning)
        )
        if loser.is_new:
            _fold(winner, loser)
            return
        if winner.is_new:  # nothing of it is stored yet: what it brings goes to the other
            _fold(loser, winner)
            return
        if self._merges_left is None:
            self._merges_left = self._ask_merges_left()
        if self._merges_left <= 0:
            self._keep_apart(identifier, resolution, profile, owning, reason="rate")
            return
        if sentence := self._objection(winner.id, loser.id):
            resolution.conflict("verdict", sentence)
            return
        self._merges_left -= 1
        self._merges.append(PlannedMerge(winner, loser, resolution))
        resolution.outcome = MERGED
        _fold(winner, loser)

    def _change_owner(
        self,
        identifier: SentIdentifier,
        resolution: Resolution,
        owning: CandidateProfile,
        member_id: int,
        at: datetime.datetime,
    ) -> None:
        """The browser is another profile's from now on; what happened before stays where it is."""
        profile = resolution.profile.survivor()
        intervals = self.known.intervals.get(identifier.key) or [
            OwnershipInterval(owning, member_id, None, None)
        ]
        owners = {interval.profile.survivor() for interval in intervals}
        count = len(owners | {profile})
        if profile not in owners and count >= settings.CDP_BREAKER_PEOPLE:
            self._keep_apart(identifier, resolution, profile, owning, reason="value", profile_count=count)
            return
        ended = intervals[-1].end
        if ended is not None:  # its owner was deleted, then somebody had it anew
            intervals.append(OwnershipInterval(owning, member_id, ended, at))
        intervals[-1].end = at
        intervals.append(OwnershipInterval(profile, resolution.member_id, at, None))
        self.known.intervals[identifier.key] = intervals
        self._moved.add(identifier.key)
        if (owner := self._owner(identifier)) is not None and owner.identifier_id:
            self._released.add(owner.identifier_id)
        self._granted.discard((id(profile), identifier.key))
        self._grant(identifier, resolution, may_resolve=True)
        resolution.problems.append(changed_hands(identifier, owning))

    def _keep_apart(
        self,
        identifier: SentIdentifier,
        resolution: Resolution,
        profile: CandidateProfile,
        owning: CandidateProfile,
        *,
        reason: str = "",
        profile_count: int = 0,
    ) -> None:
        self._kept_apart.append(KeptApart(resolution, profile, owning, identifier, reason, profile_count))
        label = f"{identifier.spec.row} {identifier.raw}"
        if reason:
            resolution.conflict(
                "held", f"{label} would merge more people than allowed; it waits under Waiting merges."
            )
        else:
            kept = "it stays there" if identifier.is_soft else "kept here for contact only"
            resolution.conflict("identifier_clash", f"{label} belongs to another person; {kept}.")

    def _alias(self, resolution: Resolution) -> None:
        """``previousId`` and ``userId`` are the same person's. Of two known people only a server may say so, and only
        with its source's switch.
        """
        for identifier in resolution.identifiers.previous:
            owner = self._owner(identifier)
            if owner is None:
                continue
            profile, owning = resolution.profile.survivor(), owner.profile.survivor()
            if profile is owning:
                return
            if identifier.key in self.known.shared:
                resolution.problems.append(shared_by_people(identifier))
                return
            both = profile.is_recognized and owning.is_recognized
            if profile.is_locked or owning.is_locked or (both and not self._may_merge_recognized):
                self._keep_apart(identifier, resolution, profile, owning)
            else:
                self._merge(profile, owning, identifier, resolution)
            return
        self._grant(resolution.identifiers.previous[0], resolution, may_resolve=True)


def _may_merge(profile: CandidateProfile, owning: CandidateProfile) -> bool:
    """Traffic merges no locked profiles, nor two recognized ones (but see ``_alias``)."""
    if profile.is_locked or owning.is_locked:
        return False
    return not (profile.is_recognized and owning.is_recognized)


def _fold(winner: CandidateProfile, loser: CandidateProfile) -> None:
    """The winner stands for the loser from here on."""
    loser.merged_into = winner
    winner.is_recognized = winner.is_recognized or loser.is_recognized
    for type_id, values in loser.values.items():
        winner.values[type_id] |= values
    for at in (loser.active_from, loser.active_until):
        if at is not None:
            winner.record_activity(at)
