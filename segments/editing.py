"""A name and a rule, or profiles picked by hand → segments made, changed and archived, each rule kept as a version.

A rule comes into force at once and is filled in the background; until then its members are those of the version before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Conflict, Invalid, NotFound, RuleForbids, Stale
from profiles.models import Profile
from segments.conditions.member import segments_in
from segments.membership.fill import start_filling
from segments.membership.live_rules import mark_broken, write_watched
from segments.models import HandPick, QueueEntry, Segment, SegmentVersion
from segments.models.membership import Cause
from segments.rules.parse import parse_rule
from segments.rules.tree import Rule
from segments.vocabulary import Vocabulary

MOST_PICKS = 10_000


@transaction.atomic
def create_segment(
    *, name: str, rules: Any = None, description: str = "", kind: str = Segment.Kind.RULE, actor: Actor
) -> Segment:
    """A segment by rule, filled in the background; or one by hand, empty. Raises Invalid, Conflict for a taken name."""
    segment = Segment(
        name=_clean_name(name), description=description, kind=_clean_kind(kind), owner_id=actor.user_id
    )
    if segment.is_static:
        _refuse_rules(rules)
        segment.state = Segment.State.LIVE
        rule = None
    else:
        rule = publishable(rules, Vocabulary())
        segment.rules = rule.json
    _save(segment)
    if rule is not None:
        _keep_version(segment, rule, actor)
        start_filling(segment, actor=actor)
    else:
        write_watched()
    audit.record(
        "segment.create", actor=actor, subject=f"segment:{segment.pk}", detail={"kind": segment.kind}
    )
    return segment


@transaction.atomic
def change_segment(
    *,
    segment_id: int,
    name: str | None = None,
    description: str | None = None,
    rules: Any = None,
    version: int | None = None,
    actor: Actor,
) -> Segment:
    """Change what is given, keep the rest. Another rule is a new version, and brings a broken segment back.

    Raises NotFound; Stale where ``version`` is given and somebody saved another rule meanwhile; Invalid; Conflict for a
    taken name; RuleForbids for an archived segment, and for the rule of one by hand.
    """
    segment = locked_segment(segment_id)
    if segment.state == Segment.State.ARCHIVED:
        raise RuleForbids(f"“{segment.name}” is archived. Bring it back first.")
    if version is not None and version != segment.version:
        raise Stale(
            f"Somebody saved version {segment.version} of “{segment.name}” meanwhile; you began with version {version}."
            " Look at it, then save yours again."
        )
    changed = []
    if name is not None and (clean := _clean_name(name)) != segment.name:
        segment.name = clean
        changed.append("name")
    if description is not None and description != segment.description:
        segment.description = description
        changed.append("description")
    rule = None
    if rules is not None:
        if segment.is_static:
            _refuse_rules(rules)
        rule = publishable(rules, Vocabulary(segment_id=segment.pk))
        if rule.json != segment.rules or segment.state == Segment.State.BROKEN:
            changed.append("rules")
            segment.rules = rule.json
            segment.version += 1
            segment.state, segment.problem = Segment.State.FILLING, ""
    if not changed:
        return segment
    _save(segment)
    if rule is not None and "rules" in changed:
        _keep_version(segment, rule, actor)
        start_filling(segment, actor=actor)
    detail = {"fields": changed, "version": segment.version}
    audit.record("segment.update", actor=actor, subject=f"segment:{segment.pk}", detail=detail)
    return segment


@transaction.atomic
def archive_segment(*, segment_id: int, actor: Actor) -> Segment:
    """Not kept up to date any more, and out of lists; its history stays. Segments made from it are broken, with a sentence."""
    segment = locked_segment(segment_id)
    if segment.state == Segment.State.ARCHIVED:
        return segment
    segment.state = Segment.State.ARCHIVED
    segment.updated_at = Now()
    segment.save(update_fields=["state", "updated_at"])
    for dependant in used_by(segment):
        mark_broken(dependant, f"It is made from the segment “{segment.name}”, which was archived.")
    write_watched()
    audit.record("segment.archive", actor=actor, subject=f"segment:{segment.pk}", detail={})
    return segment


@transaction.atomic
def bring_back(*, segment_id: int, actor: Actor) -> Segment:
    """An archived segment is in use again, or a broken one whose rule can be read again; it is filled anew. Nothing for any
    other. Raises Invalid for a rule that names what is gone, Conflict for a name that was taken meanwhile.
    """
    segment = locked_segment(segment_id)
    if segment.state not in (Segment.State.ARCHIVED, Segment.State.BROKEN):
        return segment
    if not segment.is_static:
        publishable(segment.rules, Vocabulary(segment_id=segment.pk))
    segment.state, segment.problem = Segment.State.FILLING, ""
    _save(segment)
    start_filling(segment, cause=Cause.SETTING, actor=actor)
    audit.record("segment.restore", actor=actor, subject=f"segment:{segment.pk}", detail={})
    return segment


@transaction.atomic
def pick_profiles(
    *, segment_id: int, profile_ids: Sequence[int], is_in: bool | None, reason: str = "", actor: Actor
) -> int:
    """Put profiles into the segment whatever its rule says, keep them out (``is_in`` False), or leave them to the rule again
    (None); how many of them are surviving profiles. Takes effect within seconds. Raises NotFound, Invalid, RuleForbids.
    """
    segment = locked_segment(segment_id)
    if segment.state == Segment.State.ARCHIVED:
        raise RuleForbids(f"“{segment.name}” is archived. Bring it back first.")
    if len(profile_ids) > MOST_PICKS:
        message = f"At most {MOST_PICKS:,} people at once; these are {len(profile_ids):,}."
        raise Invalid([{"field": "profile_ids", "value": len(profile_ids), "message": message}])
    asked = Profile.objects.filter(pk__in=list(profile_ids)).values("canonical_id")
    roots = list(Profile.objects.live().filter(pk__in=asked).values_list("pk", flat=True))
    picks = HandPick.objects.filter(segment=segment, profile__canonical_id__in=roots)
    if is_in is None or (segment.is_static and not is_in):
        picks.delete()
    else:
        picks.exclude(profile__in=roots).delete()
        made = [
            HandPick(
                segment=segment,
                profile_id=pk,
                is_in=is_in,
                reason=reason[:300],
                user_id=actor.user_id,
                key_id=actor.key_id,
                created_at=Now(),
            )
            for pk in roots
        ]
        HandPick.objects.bulk_create(
            made,
            update_conflicts=True,
            unique_fields=["segment", "profile"],
            # Made again, it is the latest: after a merge that one counts.
            update_fields=["is_in", "reason", "user", "key", "created_at"],
            batch_size=5_000,
        )
    QueueEntry.objects.bulk_create(
        [
            QueueEntry(profile_id=pk, reads=[f"pick:{segment.pk}"], cause=Cause.STAFF, cause_id=actor.user_id)
            for pk in roots
        ],
        batch_size=5_000,
    )
    subjects = [f"profile:{pk}" for pk in roots]
    audit.record_many("segment.pick", actor=actor, subjects=subjects)
    return len(roots)


def publishable(raw: Any, vocabulary: Vocabulary) -> Rule:
    """The rule, with ids for event names that were never seen. Raises Invalid."""
    rule = parse_rule(raw, vocabulary)
    unseen = False
    for leaf in rule.leaves:
        for events in leaf.condition.event_filters:
            if events.name_id is None and events.stored_name is not None:
                vocabulary.note_event(events.stored_name)
                unseen = True
    return parse_rule(raw, vocabulary) if unseen else rule


def used_by(segment: Segment) -> list[Segment]:
    """The segments in use whose rule names this one. One query."""
    others = Segment.objects.in_use().exclude(pk=segment.pk).filter(kind=Segment.Kind.RULE).order_by("name")
    return [other for other in others if segment.pk in segments_in(other.rules)]


def locked_segment(segment_id: int) -> Segment:
    """Raises NotFound."""
    segment = Segment.objects.select_for_update(no_key=True, of=("self",)).filter(pk=segment_id).first()
    if segment is None:
        raise NotFound(f"There is no segment #{segment_id}.")
    return segment


def _keep_version(segment: Segment, rule: Rule, actor: Actor) -> None:
    SegmentVersion.objects.create(
        segment=segment,
        version=segment.version,
        rules=rule.json,
        text=rule.words,
        user_id=actor.user_id,
        key_id=actor.key_id,
    )


def _refuse_rules(rules: Any) -> None:
    if rules:
        message = "A segment by hand has no rule. Make one by rule instead."
        raise Invalid([{"field": "rules", "value": None, "message": message}])


def _clean_kind(kind: str) -> str:
    if kind not in Segment.Kind.values:
        message = f"“{kind[:40]}” is none of {', '.join(Segment.Kind.values)}."
        raise Invalid([{"field": "kind", "value": kind, "message": message}])
    return kind


def _clean_name(raw: str) -> str:
    name = " ".join(raw.split())
    if not name:
        raise Invalid([{"field": "name", "value": raw, "message": "Give the segment a name."}])
    try:
        Segment._meta.get_field("name").clean(name, None)
    except ValidationError as error:
        raise Invalid([{"field": "name", "value": raw, "message": error.messages[0]}]) from error
    return name


def _save(segment: Segment) -> None:
    taken = Conflict(f"There is a segment “{segment.name}” already. Choose another name.")
    if Segment.objects.in_use().filter(name__iexact=segment.name).exclude(pk=segment.pk).exists():
        raise taken
    segment.updated_at = Now()
    try:
        with transaction.atomic():
            segment.save()
    except IntegrityError as error:
        raise taken from error
