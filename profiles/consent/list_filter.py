"""``channel/purpose:state`` → the people of the list whose consent stands like that now."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Coalesce

from cdp.errors import Invalid
from profiles.consent.channels import channel_name
from profiles.models import Consent
from profiles.search.filters import TextFilter
from profiles.search.list_filters import ListFilter, Roots


def _by_consent(roots: Roots, value: str) -> Roots:
    """``channel[/purpose][:granted|withdrawn]`` as it stands now; ``granted`` when left out."""
    channel, purpose, state = _parts(value)
    if state not in ("", *Consent.State.values):
        message = f"“{state}” is not a state of a consent. Write granted or withdrawn."
        raise Invalid([{"field": "consent", "value": value, "message": message}])
    granted = Q(pk__in=_granted(channel, purpose))
    if state != Consent.State.WITHDRAWN:
        return roots.filter(granted)
    asked = Consent.objects.filter(**_of(channel, purpose))
    return roots.filter(~granted, pk__in=asked.values("profile__canonical_id"))


def _parts(value: str) -> tuple[str, str, str]:
    pair, _, state = value.partition(":")
    channel, _, purpose = pair.partition("/")
    return channel, purpose, state


def _of(channel: str, purpose: str) -> dict[str, str]:
    return {"channel": channel.strip().lower(), **({"purpose": purpose.strip().lower()} if purpose else {})}


def _granted(channel: str, purpose: str) -> QuerySet[Any]:
    """Ids of roots with a consent that holds now: the set-based twin of ``profiles.consent.ledger.decide``."""
    same = Consent.objects.filter(
        profile__canonical_id=OuterRef("profile__canonical_id"),
        channel=OuterRef("channel"),
        purpose=OuterRef("purpose"),
    )
    # A no of unknown time counts as taken when it was recorded; at the same instant the no wins.
    later_no = same.filter(state=Consent.State.WITHDRAWN).annotate(latest=Coalesce("at", "recorded_at"))
    yes = Consent.objects.filter(**_of(channel, purpose), state=Consent.State.GRANTED, at__isnull=False)
    return yes.filter(~Exists(later_no.filter(latest__gte=OuterRef("at")))).values("profile__canonical_id")


def _sentence(values: list[str]) -> tuple[str, str]:
    channel, purpose, state = _parts(values[-1])
    operator = "withdrawn for" if state == Consent.State.WITHDRAWN else "given to"
    return operator, f"{channel_name(channel)} {purpose}".strip()


FILTER = ListFilter(
    label="Consent",
    filter_class=TextFilter,
    apply=_by_consent,
    sentence=_sentence,
    template="admin/profiles/filter_consent.html",
    description="`channel[/purpose][:granted|withdrawn]` as it is now.",
    names_people=False,
)
