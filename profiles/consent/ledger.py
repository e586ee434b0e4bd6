"""Consent decisions of a profile → what holds now, per channel and purpose; new decisions added to the ledger."""

from __future__ import annotations

import datetime
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Invalid
from profiles.editing.locking import lock_root, touch
from profiles.identity.graph import retried
from profiles.journal import REQUEST, Cause, Entry, publish_updated, record
from profiles.models import Change, Consent, Source

GRANTED = Consent.State.GRANTED.value
WITHDRAWN = Consent.State.WITHDRAWN.value

# Clocks of other systems run ahead a little; further in the future is a mistake.
_AHEAD = datetime.timedelta(minutes=5)
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*")
_LIMITS = {"channel": 30, "purpose": 60}  # as the columns
_STATES = {"granted": GRANTED, "withdrawn": WITHDRAWN}


@dataclass(frozen=True, slots=True)
class ConsentDecision:
    """One row of the ledger as the rules need it; ``at`` is None when nobody knows the time."""

    state: str
    at: datetime.datetime | None
    recorded_at: datetime.datetime
    source: str = ""


@dataclass(frozen=True, slots=True)
class CurrentConsent:
    """What holds now. ``at`` and ``source`` are those of the decision that decides."""

    state: str
    at: datetime.datetime | None
    source: str

    @property
    def is_granted(self) -> bool:
        return self.state == GRANTED


@dataclass(frozen=True, slots=True)
class RecordedConsent:
    """``consent`` is the new row of the ledger, ``current`` what holds for its channel and purpose now."""

    consent: Consent
    current: CurrentConsent


def decide(decisions: Iterable[ConsentDecision]) -> CurrentConsent:
    """What holds after one profile's decisions on one channel and purpose. Pure; order does not matter.

    The latest decision with a known time counts; two states at the same instant mean *no*. A decision of
    unknown time never says yes. A *no* of unknown time may have been taken at any moment until it was
    recorded, so it outweighs every yes up to then; a yes given later stands. At least one is needed.
    """
    yes = [decision for decision in decisions if decision.state == GRANTED]
    no = [decision for decision in decisions if decision.state != GRANTED]
    dated = [decision for decision in yes if decision.at is not None]
    latest_yes = max(dated, key=lambda decision: decision.at or decision.recorded_at, default=None)
    latest_no = max(no, key=_latest, default=None)
    if (
        latest_yes is not None
        and latest_yes.at is not None
        and (latest_no is None or _latest(latest_no) < latest_yes.at)
    ):
        return CurrentConsent(GRANTED, latest_yes.at, latest_yes.source)
    deciding = latest_no or latest_yes or max(yes, key=_latest)
    return CurrentConsent(WITHDRAWN, deciding.at, deciding.source)


def _latest(decision: ConsentDecision) -> datetime.datetime:
    """The latest moment the decision may have been taken at."""
    return decision.at or decision.recorded_at


def current_consents(root_ids: Iterable[int]) -> dict[int, dict[tuple[str, str], CurrentConsent]]:
    """``{root: {(channel, purpose): CurrentConsent}}`` over all members of each profile. One query.

    Profiles without any decision are left out.
    """
    ledger: dict[int, dict[tuple[str, str], list[ConsentDecision]]] = defaultdict(lambda: defaultdict(list))
    rows = Consent.objects.filter(profile__canonical_id__in=list(root_ids)).values_list(
        "profile__canonical_id", "channel", "purpose", "state", "at", "recorded_at", "source__name"
    )
    for root, channel, purpose, state, at, recorded_at, source in rows:
        ledger[root][channel, purpose].append(ConsentDecision(state, at, recorded_at, source))
    return {
        root: {key: decide(decisions) for key, decisions in kinds.items()} for root, kinds in ledger.items()
    }


def can_message(root_id: int, channel: str, purpose: str) -> bool:
    """Whether a granted consent holds now. No decision means no. One query."""
    current = current_consents([root_id]).get(root_id, {}).get((channel, purpose))
    return current is not None and current.is_granted


def clean_consent(
    *, channel: str, purpose: str, state: str, at: datetime.datetime | None
) -> tuple[str, str, str]:
    """Channel, purpose and state in their one spelling; Invalid names every problem at once."""
    problems: list[dict[str, Any]] = []
    names = {"channel": channel, "purpose": purpose}
    for field, raw in names.items():
        limit = _LIMITS[field]
        name = "_".join(raw.strip().lower().split())
        names[field] = name
        if not _NAME.fullmatch(name) or len(name) > limit:
            message = (
                f"A consent's {field} is a word of up to {limit} letters, digits and _, like “newsletter”."
            )
            problems.append({"field": field, "value": raw[:100], "message": message})
    cleaned_state = _STATES.get(state.strip().lower())
    if cleaned_state is None:
        problems.append(
            {"field": "state", "value": state[:100], "message": "Write “granted” or “withdrawn”."}
        )
    if at is not None and at > timezone.now() + _AHEAD:
        message = "A decision cannot be in the future. Check the time and its time zone."
        problems.append({"field": "at", "value": at.isoformat(), "message": message})
    if cleaned_state is None or problems:
        raise Invalid(problems)
    return names["channel"], names["purpose"], cleaned_state


@retried
@transaction.atomic
def record_consent(
    *,
    profile_id: int,
    channel: str,
    purpose: str,
    state: str,
    at: datetime.datetime | None,
    wording: str = "",
    proof: dict[str, Any] | None = None,
    actor: Actor,
    source: Source,
    cause: Cause = REQUEST,
    via_id: int | None = None,
) -> RecordedConsent:
    """Add one decision of a profile to the ledger; nothing in it is ever changed.

    ``at`` is when the person decided, None when nobody knows (which never counts as a yes). ``wording`` is
    the version of the text they saw, ``proof`` where it came from. Raises Invalid, NotFound, RuleForbids.
    """
    channel, purpose, state = clean_consent(channel=channel, purpose=purpose, state=state, at=at)
    root = lock_root(profile_id)
    before = current_consents([root.pk]).get(root.pk, {}).get((channel, purpose))
    consent = Consent.objects.create(
        profile_id=via_id or root.pk,
        channel=channel,
        purpose=purpose,
        state=state,
        at=at,
        wording=wording[:200],
        proof=proof or {},
        source=source,
        user_id=actor.user_id,
    )
    current = current_consents([root.pk])[root.pk][channel, purpose]
    label = f"{channel}/{purpose}="
    change = [[label + before.state] if before else [], [label + state]]
    touch(root)
    entry = Entry(root.pk, Change.Kind.UPDATED, {"consents": change}, via_id=via_id)
    record(entry=entry, actor=actor, source=source, cause=cause)
    detail = {"channel": channel, "purpose": purpose, "state": state}
    audit.record("profile.consent", actor=actor, subject=f"profile:{root.pk}", detail=detail)
    publish_updated([root.pk], ["consents"])
    return RecordedConsent(consent, current)
