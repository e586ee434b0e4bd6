"""A page of surviving profiles → the merged view of each, in a constant number of queries.

The card, the API, a merge's result and the GDPR export all read a profile from here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cdp.times import iso
from profiles.consent.ledger import CurrentConsent, current_consents
from profiles.consent.reachable import Key, Reachability, reachability
from profiles.models import Address, Identifier, Profile, ProfileTag, Tag
from profiles.reading.view_parts import read_parts
from profiles.values.alternates import alternates
from profiles.values.attributes import get_value

T = TypeVar("T")

# What a profile says of these as long as no app fills them.
NOT_FILLED: dict[str, Any] = {"segments": [], "aggregates": {}}


@dataclass(slots=True)
class ProfileView:
    """One surviving profile with what all its members have. ``profile`` carries the merged attributes, ``parts`` what apps
    above fill (``profiles.reading.view_parts``).
    """

    profile: Profile
    identifiers: list[Identifier] = field(default_factory=list)
    tags: list[Tag] = field(default_factory=list)
    addresses: list[Address] = field(default_factory=list)
    consents: dict[Key, CurrentConsent] = field(default_factory=dict)
    reach: dict[Key, Reachability] = field(default_factory=dict)
    alternates: list[dict[str, Any]] = field(default_factory=list)
    merged_ids: list[int] = field(default_factory=list)
    parts: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> int:
        return self.profile.pk


def profile_views(roots: Sequence[Profile]) -> list[ProfileView]:
    """The views of these surviving profiles, in their order. Six queries for any number of them, one more for yeses, and those
    of the parts that apps fill.
    """
    ids = [root.pk for root in roots]
    views = {root.pk: ProfileView(root) for root in roots}
    owner = dict(Profile.objects.members_of(*ids).exclude(pk__in=ids).values_list("pk", "canonical_id"))
    for member, root in sorted(owner.items()):
        views[root].merged_ids.append(member)
    members = [*ids, *owner]
    identifiers = Identifier.objects.filter(profile_id__in=members).select_related("type", "source")
    for identifier in identifiers.order_by("type__priority", "type__name", "first_seen_at", "id"):
        views[owner.get(identifier.profile_id, identifier.profile_id)].identifiers.append(identifier)
    for root, tags in _tags(members, owner).items():
        views[root].tags = tags
    for address in Address.objects.filter(profile_id__in=members):
        views[owner.get(address.profile_id, address.profile_id)].addresses.append(address)
    current = current_consents(ids)
    for root, reach in reachability(roots, current).items():
        views[root].consents, views[root].reach = current.get(root, {}), reach
    for root, root_alternates in alternates(ids).items():
        views[root].alternates = root_alternates
    for root, parts in read_parts(ids).items():
        views[root].parts = parts
    return list(views.values())


def profile_view(root: Profile) -> ProfileView:
    """The view of one surviving profile."""
    return profile_views([root])[0]


def _tags(members: Iterable[int], owner: dict[int, int]) -> dict[int, list[Tag]]:
    by_root: dict[int, dict[int, Tag]] = defaultdict(dict)
    links = (
        ProfileTag.objects.filter(profile_id__in=list(members)).select_related("tag").order_by("tag__name")
    )
    for link in links:
        by_root[owner.get(link.profile_id, link.profile_id)].setdefault(link.tag_id, link.tag)
    return {root: list(tags.values()) for root, tags in by_root.items()}


def as_api(view: ProfileView) -> dict[str, Any]:
    """The profile of the HTTP contract. No query. Raises ValueError for a part that is named like a field."""
    profile = view.profile
    answer = {
        "id": profile.pk,
        "type": profile.type,
        **{name: get_value(profile, name) for name in Profile.FIELDS},
        "attributes": profile.attributes,
        "identifiers": [identifier_as_api(identifier) for identifier in view.identifiers],
        "tags": [tag.name for tag in view.tags],
        "addresses": [address_as_api(address) for address in view.addresses],
        "consents": consents_as_api(view.reach),
        "reachable": _by_channel(view.reach, lambda reach: reach.is_reachable),
        "alternates": view.alternates,
        "merged_ids": view.merged_ids,
        "locked": profile.is_locked,
        "version": profile.version,
        "created_at": iso(profile.created_at),
        "updated_at": iso(profile.updated_at),
        "first_seen_at": iso(profile.first_seen_at),
        "last_seen_at": iso(profile.last_seen_at),
    }
    if taken := sorted(answer.keys() & view.parts.keys()):
        raise ValueError(f"The profile and a part of it both give “{taken[0]}”.")
    return {**answer, **NOT_FILLED, **view.parts}


def consents_as_api(reach: Mapping[Key, Reachability]) -> list[dict[str, Any]]:
    """What holds now, and whether the person may be written to; no other person is named but by their id."""
    return [
        {
            "channel": channel,
            "purpose": purpose,
            "state": one.consent.state,
            "at": iso(one.consent.at),
            "source": one.consent.source,
            "reachable": one.is_reachable,
            "reason": one.reason(),
        }
        for (channel, purpose), one in sorted(reach.items())
    ]


def reasons_as_api(reach: Mapping[Key, Reachability]) -> dict[str, dict[str, str]]:
    """``{channel: {purpose: why somebody cannot be written to}}``, without those they can be written to for."""
    return _by_channel({key: one for key, one in reach.items() if not one.is_reachable}, Reachability.reason)


def _by_channel(
    reach: Mapping[Key, Reachability], read: Callable[[Reachability], T]
) -> dict[str, dict[str, T]]:
    found: dict[str, dict[str, T]] = defaultdict(dict)
    for (channel, purpose), one in sorted(reach.items()):
        found[channel][purpose] = read(one)
    return dict(found)


def identifier_as_api(identifier: Identifier) -> dict[str, Any]:
    return {
        "type": identifier.type.name,
        "value": identifier.value,
        "source": identifier.source.name,
        "verified": identifier.is_verified,
        "resolves": identifier.resolves,
        "pending": identifier.is_pending,
        "first_seen_at": iso(identifier.first_seen_at),
        "last_seen_at": iso(identifier.last_seen_at),
    }


def address_as_api(address: Address) -> dict[str, Any]:
    return {
        "id": address.pk,
        "label": address.label,
        "street": address.street,
        "postcode": address.postcode,
        "city": address.city,
        "state": address.state,
        "country": address.country,
    }
