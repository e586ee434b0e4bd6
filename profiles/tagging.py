"""Tag names and profile ids → tags put on and taken off, one or thousands at a time; tags renamed, merged, deleted."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Lower, Now

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Conflict, Invalid, NotFound
from profiles.identity.graph import retried
from profiles.identity.text import without_hidden
from profiles.journal import REQUEST, Cause, Entry, publish_updated, record_many
from profiles.models import Change, Profile, ProfileTag, Source, Tag


@dataclass(frozen=True, slots=True)
class Tagged:
    """How many profiles really changed; ``asked`` is how many were named."""

    asked: int
    changed: int


def clean_tag_names(names: Iterable[str]) -> list[str]:
    """Trimmed, distinct without regard to case, first spelling kept. Raises Invalid."""
    spellings: dict[str, str] = {}
    for raw in names:
        # As imports write them: a tag with characters nobody sees, or in another Unicode form, is the same tag.
        plain = " ".join(unicodedata.normalize("NFC", raw).split())
        name = " ".join(without_hidden(plain).split())
        try:
            for text in (plain, name):
                Tag._meta.get_field("name").clean(text, None)
        except ValidationError as error:
            raise Invalid([{"field": "tags", "value": raw, "message": error.messages[0]}]) from error
        spellings.setdefault(name.lower(), name)
    return list(spellings.values())


def ensure_tags(names: Iterable[str]) -> list[Tag]:
    """The tags of these names, made where missing; an existing spelling wins. Two queries."""
    wanted = clean_tag_names(names)
    Tag.objects.bulk_create([Tag(name=name) for name in wanted], ignore_conflicts=True)
    lowered = [name.lower() for name in wanted]
    return list(Tag.objects.annotate(low=Lower("name")).filter(low__in=lowered).order_by("name"))


def unknown_tags(names: Iterable[str]) -> list[str]:
    """Those of the names that no tag has, whatever their case. One query where there are names."""
    wanted = list(dict.fromkeys(names))
    lowered = [name.lower() for name in wanted]
    known = Tag.objects.annotate(low=Lower("name")).filter(low__in=lowered).values_list("low", flat=True)
    existing = set(known) if wanted else set()
    return [name for name in wanted if name.lower() not in existing]


def _lock_roots(profile_ids: Iterable[int]) -> dict[int, Profile]:
    """Live surviving profiles behind the ids, locked in id order."""
    roots = Profile.objects.filter(pk__in=list(profile_ids)).values("canonical_id")
    locked = Profile.objects.live().filter(pk__in=roots).select_for_update(no_key=True).order_by("pk")
    return {root.pk: root for root in locked.only("pk", "status")}


@retried
@transaction.atomic
def tag_profiles(
    *,
    profile_ids: Sequence[int],
    tag_names: Sequence[str],
    actor: Actor,
    source: Source,
    cause: Cause = REQUEST,
) -> Tagged:
    """Put the tags on each profile that does not have them yet; unknown tags are made. Constant queries."""
    tags = ensure_tags(tag_names)
    roots = _lock_roots(profile_ids)
    links = ProfileTag.objects.filter(tag__in=tags, profile__canonical_id__in=roots)
    existing = set(links.values_list("profile__canonical_id", "tag_id"))
    missing = [(root, tag) for root in roots for tag in tags if (root, tag.pk) not in existing]
    ProfileTag.objects.bulk_create(
        [ProfileTag(profile_id=root, tag=tag, source=source) for root, tag in missing],
        ignore_conflicts=True,
        batch_size=5000,
    )
    added: dict[int, list[str]] = defaultdict(list)
    for root, tag in missing:
        added[root].append(tag.name)
    _record({root: [[], names] for root, names in added.items()}, actor=actor, source=source, cause=cause)
    return Tagged(len(roots), len(added))


@retried
@transaction.atomic
def untag_profiles(
    *,
    profile_ids: Sequence[int],
    tag_names: Sequence[str],
    actor: Actor,
    source: Source,
    cause: Cause = REQUEST,
) -> Tagged:
    """Take the tags off each profile that has them, on whichever member. Constant queries."""
    roots = _lock_roots(profile_ids)
    lowered = [name.lower() for name in clean_tag_names(tag_names)]
    links = ProfileTag.objects.annotate(low=Lower("tag__name")).filter(
        low__in=lowered, profile__canonical_id__in=roots
    )
    removed: dict[int, list[str]] = defaultdict(list)
    for root, name in links.values_list("profile__canonical_id", "tag__name").distinct():
        removed[root].append(name)
    ProfileTag.objects.filter(pk__in=links.values("pk")).delete()
    _record({root: [names, []] for root, names in removed.items()}, actor=actor, source=source, cause=cause)
    return Tagged(len(roots), len(removed))


def _record(changes: dict[int, list[list[str]]], *, actor: Actor, source: Source, cause: Cause) -> None:
    if not changes:
        return
    Profile.objects.filter(pk__in=changes).update(version=F("version") + 1, updated_at=Now())
    record_many(
        entries=[Entry(root, Change.Kind.UPDATED, {"tags": change}) for root, change in changes.items()],
        actor=actor,
        source=source,
        cause=cause,
    )
    audit.record_many("profile.tags", actor=actor, subjects=[f"profile:{root}" for root in changes])
    publish_updated(changes, ["tags"])


def count_profiles(tag: Tag) -> int:
    """How many live profiles have the tag, exactly."""
    links = ProfileTag.objects.filter(tag=tag, profile__canonical__status=Profile.Status.LIVE)
    return links.values("profile__canonical_id").distinct().count()


@retried
@transaction.atomic
def rename_tag(*, tag_id: int, name: str, actor: Actor, source: Source) -> Tag:
    """Give a tag another name on every profile that has it. Raises Conflict when the name is taken."""
    tag = _locked_tag(tag_id)
    clean = clean_tag_names([name])[0]
    if Tag.objects.annotate(low=Lower("name")).filter(low=clean.lower()).exclude(pk=tag.pk).exists():
        raise Conflict(f"There is a tag “{clean}” already. Merge the two instead.")
    old, tag.name = tag.name, clean
    tag.save(update_fields=["name"])
    audit.record("tag.rename", actor=actor, subject=f"tag:{tag.pk}", detail={"old": old, "new": clean})
    return tag


@retried
@transaction.atomic
def merge_tags(*, winner_id: int, loser_id: int, actor: Actor, source: Source) -> Tagged:
    """Every profile with the loser tag gets the winner instead; the loser tag is gone."""
    if winner_id == loser_id:
        raise Invalid([{"field": "loser", "value": loser_id, "message": "Choose two different tags."}])
    winner, loser = _locked_tag(winner_id), _locked_tag(loser_id)
    profile_ids = list(
        ProfileTag.objects.filter(tag=loser, profile__canonical__status=Profile.Status.LIVE)
        .values_list("profile__canonical_id", flat=True)
        .distinct()
    )
    done = tag_profiles(profile_ids=profile_ids, tag_names=[winner.name], actor=actor, source=source)
    untag_profiles(profile_ids=profile_ids, tag_names=[loser.name], actor=actor, source=source)
    audit.record(
        "tag.merge",
        actor=actor,
        subject=f"tag:{winner.pk}",
        detail={"loser": loser.name, "people": len(profile_ids)},
    )
    loser.delete()
    return done


@retried
@transaction.atomic
def delete_tag(*, tag_id: int, actor: Actor, source: Source) -> Tagged:
    """Take a tag off every profile (each journal records it) and remove it."""
    tag = _locked_tag(tag_id)
    profile_ids = list(
        ProfileTag.objects.filter(tag=tag).values_list("profile__canonical_id", flat=True).distinct()
    )
    done = untag_profiles(profile_ids=profile_ids, tag_names=[tag.name], actor=actor, source=source)
    audit.record(
        "tag.delete",
        actor=actor,
        subject=f"tag:{tag.pk}",
        detail={"name": tag.name, "people": len(profile_ids)},
    )
    tag.delete()
    return done


def _locked_tag(tag_id: int) -> Tag:
    tag = Tag.objects.select_for_update(no_key=True).filter(pk=tag_id).first()
    if tag is None:
        raise NotFound(f"No tag #{tag_id}.")
    return tag
