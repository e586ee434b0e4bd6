"""Consent decisions of a profile → what holds now, per channel and purpose; new decisions added to the ledger."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from cdp import audit
from cdp.actors import Actor
from cdp.errors import Forbidden, Invalid
from profiles.consent.lists import consent_lists
from profiles.consent.words import EMAIL, PHONE
from profiles.editing.locking import lock_root, touch
from profiles.identity.graph import retried
from profiles.journal import REQUEST, Cause, Entry, publish_updated, record
from profiles.models import Change, Consent, Profile, Source

GRANTED = Consent.State.GRANTED.value
WITHDRAWN = Consent.State.WITHDRAWN.value

# Clocks of other systems run ahead a little; further in the future is a mistake.
_AHEAD = datetime.timedelta(minutes=5)
REGRANT = "profiles.regrant_consent"
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
    """What holds now. ``at`` and ``source`` are those of the decision that decides.

    ``is_no``: it is a no, as opposed to a yes of unknown time, which is none.
    """

    state: str
    at: datetime.datetime | None
    source: str
    is_no: bool = False

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
    return CurrentConsent(WITHDRAWN, deciding.at, deciding.source, is_no=deciding.state != GRANTED)


def _latest(decision: ConsentDecision) -> datetime.datetime:
    """The latest moment the decision may have been taken at."""
    return decision.at or decision.recorded_at


def current_consents(root_ids: Iterable[int]) -> dict[int, dict[tuple[str, str], CurrentConsent]]:
    """``{root: {(channel, purpose): CurrentConsent}}`` over all members of each profile. One query.

    Profiles without any decision are left out.
    """
    return {
        root: {key: decide(decisions) for key, decisions in kinds.items()}
        for root, kinds in _decisions(root_ids).items()
    }


def _decisions(root_ids: Iterable[int]) -> dict[int, dict[tuple[str, str], list[ConsentDecision]]]:
    ledger: dict[int, dict[tuple[str, str], list[ConsentDecision]]] = defaultdict(lambda: defaultdict(list))
    rows = Consent.objects.filter(profile__canonical_id__in=list(root_ids)).values_list(
        "profile__canonical_id", "channel", "purpose", "state", "at", "recorded_at", "source__name"
    )
    for root, channel, purpose, state, at, recorded_at, source in rows:
        ledger[root][channel, purpose].append(ConsentDecision(state, at, recorded_at, source))
    return ledger


def contact_of(profile: Profile, channel: str) -> str:
    """The e-mail address or phone number by which the channel reaches the profile now, "" when there is none."""
    contact = consent_lists().contact_of(channel)
    if contact == EMAIL:
        return profile.email or ""
    return (profile.phone or "") if contact == PHONE else ""


def clean_consent(
    *, channel: str, purpose: str, state: str, at: datetime.datetime | None, reason: str = ""
) -> tuple[str, str, str]:
    """Channel and purpose by their names in the lists, and the state; Invalid names every problem at once.

    An archived channel or purpose takes a no alone: whoever agreed before can always withdraw.
    """
    problems: list[dict[str, Any]] = []
    cleaned_state = _STATES.get(state.strip().lower())
    lists = consent_lists()
    names = {}
    for field, words, raw in (("channel", lists.channels, channel), ("purpose", lists.purposes, purpose)):
        word = words.find(raw)
        if word is None or (word.is_archived and cleaned_state != WITHDRAWN):
            problems.append({"field": field, "value": raw[:100], "message": words.unknown(raw)})
        else:
            names[field] = word.name
    if cleaned_state is None:
        problems.append(
            {"field": "state", "value": state[:100], "message": "Write “granted” or “withdrawn”."}
        )
    if at is not None and at > timezone.now() + _AHEAD:
        message = "A decision cannot be in the future. Check the time and its time zone."
        problems.append({"field": "at", "value": at.isoformat(), "message": message})
    if reason and reason not in Consent.Reason.values:
        message = f"“{reason[:40]}” is none of the reasons: {', '.join(Consent.Reason.values)}."
        problems.append({"field": "reason", "value": reason[:100], "message": message})
    if cleaned_state is None or problems:
        raise Invalid(problems)
    return names["channel"], names["purpose"], cleaned_state


def describe_no(channel: str, purpose: str, no: CurrentConsent) -> str:
    """“This person said no to e-mail newsletter on 3 Mar 2026.”"""
    when = f"on {day(no.at)}" if no.at else "at an unknown time"
    return f"This person said no to {consent_lists().text(channel, purpose)} {when}."


def day(moment: datetime.datetime) -> str:
    """“3 Mar 2026”, where the installation is."""
    local = timezone.localtime(moment)
    return f"{local.day} {local:%b %Y}"


def require_regrant(actor: Actor, sentence: str, advice: str = "") -> None:
    """Raises Forbidden with the sentence, where the right comes from, and advice, for somebody who may not end a no."""
    if not actor.can(REGRANT):
        scope = "A key needs the scope privacy for it." if actor.key else "Your role does not include it."
        raise Forbidden(f"{sentence} {scope} {advice}".strip())


def check_regrant(no: str, *, reason: str, proof: dict[str, Any], actor: Actor) -> None:
    """A yes after a no needs a right of its own, a reason and a proof; ``no`` is the sentence about the no.

    Raises Forbidden, Invalid.
    """
    require_regrant(actor, f"{no} Recording a yes now needs the permission {REGRANT}.")
    problems = []
    if not reason:
        message = f"{no} Give the reason for a yes now: one of {', '.join(Consent.Reason.values)}."
        problems.append({"field": "reason", "value": None, "message": message})
    if not any(str(value).strip() for value in proof.values() if value not in (None, [], {})):
        message = f"{no} Give the proof of the yes: where and how they agreed again."
        problems.append({"field": "proof", "value": None, "message": message})
    if problems:
        raise Invalid(problems)


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
    reason: str = "",
    proof: dict[str, Any] | None = None,
    origin: dict[str, Any] | None = None,
    actor: Actor,
    source: Source,
    cause: Cause = REQUEST,
    via_id: int | None = None,
) -> RecordedConsent:
    """Add one decision of a profile to the ledger; nothing in it is ever changed.

    ``at`` is when the person decided, None when nobody knows (which never counts as a yes). ``wording`` is
    the version of the text they saw, ``proof`` shows that they decided so; ``origin`` is kept with it and proves
    nothing by itself: the form, the message. A yes that would end a no needs a ``reason`` (Consent.Reason), a proof
    and the permission ``regrant_consent``. Raises Invalid, Forbidden, NotFound, RuleForbids.
    """
    channel, purpose, state = clean_consent(
        channel=channel, purpose=purpose, state=state, at=at, reason=reason
    )
    root = lock_root(profile_id)
    decisions = _decisions([root.pk]).get(root.pk, {}).get((channel, purpose), [])
    before = decide(decisions) if decisions else None
    decision = ConsentDecision(state, at, timezone.now())
    is_regrant = before is not None and before.is_no and decide([*decisions, decision]).is_granted
    if is_regrant and before is not None:
        no = describe_no(channel, purpose, before)
        check_regrant(no, reason=reason, proof=proof or {}, actor=actor)
    consent = Consent.objects.create(
        profile_id=via_id or root.pk,
        channel=channel,
        purpose=purpose,
        state=state,
        at=at,
        wording=wording[:200],
        reason=reason,
        proof={**(origin or {}), **(proof or {})},
        address=contact_of(root, channel),
        source=source,
        user_id=actor.user_id,
        key_id=actor.key_id,
    )
    current = current_consents([root.pk])[root.pk][channel, purpose]
    label = f"{channel}/{purpose}="
    change = [[label + before.state] if before else [], [label + state]]
    touch(root)
    entry = Entry(root.pk, Change.Kind.UPDATED, {"consents": change}, via_id=via_id)
    record(entry=entry, actor=actor, source=source, cause=cause)
    detail = {"channel": channel, "purpose": purpose, "state": state}
    if is_regrant:
        detail |= {"reason": reason, "after": WITHDRAWN}
    audit.record("profile.consent", actor=actor, subject=f"profile:{root.pk}", detail=detail)
    publish_updated([root.pk], ["consents"])
    return RecordedConsent(consent, current)
