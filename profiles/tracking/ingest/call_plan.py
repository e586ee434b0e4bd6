"""What a call does with people, item by item: made by ``identity_resolution``, carried out by ``write_plan``."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field

from profiles.tracking.ingest.candidates import CandidateProfile, OwnershipInterval
from profiles.tracking.ingest.identifiers import ItemIdentifiers, Key, SentIdentifier
from profiles.tracking.parse.item_types import APPLIED, CONFLICT, Item, ItemProblem


@dataclass(slots=True)
class Resolution:
    """Whom an item is about, and the member whose identifier resolved (0: the profile's own row).

    Changed by the resolver alone; read-only once it is part of a plan.
    """

    identifiers: ItemIdentifiers
    profile: CandidateProfile
    member_id: int
    was_recognized: bool = False  # before this item
    outcome: str = APPLIED
    code: str = ""
    message: str = ""
    problems: list[ItemProblem] = field(default_factory=list)

    @property
    def item(self) -> Item:
        return self.identifiers.item

    def conflict(self, code: str, message: str) -> None:
        """An earlier one of the item becomes one of its problems."""
        if self.outcome == CONFLICT and self.message != message:
            self.problems.append({"code": self.code, "pointer": "", "value": None, "message": self.message})
        self.outcome, self.code, self.message = CONFLICT, code, message


@dataclass(frozen=True, slots=True)
class IdentifierGrant:
    """An identifier to give to a profile. It resolves only if the value is still the profile's at the end."""

    resolution: Resolution
    identifier: SentIdentifier
    may_resolve: bool


@dataclass(frozen=True, slots=True)
class PlannedMerge:
    winner: CandidateProfile
    loser: CandidateProfile
    resolution: Resolution


@dataclass(frozen=True, slots=True)
class KeptApart:
    """Two profiles that stay apart though they share a value; ``reason`` when the merge waits for staff."""

    resolution: Resolution
    profile: CandidateProfile
    owner: CandidateProfile
    identifier: SentIdentifier
    reason: str = ""
    profile_count: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a call changes, for ``write_plan``. Profiles in it get their ids when they are written.

    ``owners`` says whose each value is at the end; ``moved`` has the intervals of soft values that changed owner,
    ``released`` the stored identifiers by which those resolved before; ``touched`` are identifiers seen again, as
    (when, whether verified now). ``members`` are the stored members by which the call came to a profile: the plan
    is right as long as they lead there.
    """

    resolutions: tuple[Resolution, ...]
    new_profiles: tuple[CandidateProfile, ...]
    grants: tuple[IdentifierGrant, ...]
    merges: tuple[PlannedMerge, ...]
    kept_apart: tuple[KeptApart, ...]
    owners: Mapping[Key, CandidateProfile]
    moved: Mapping[Key, tuple[OwnershipInterval, ...]]
    released: frozenset[int]
    touched: Mapping[int, tuple[datetime.datetime, bool]]
    members: Mapping[int, CandidateProfile]
