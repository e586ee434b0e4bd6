"""A subject and a text → one e-mail to a profile, only with consent, kept on the timeline."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from cdp import audit, mail
from cdp.actors import Actor
from cdp.errors import Invalid, RuleForbids
from profiles.consent.lists import consent_lists
from profiles.consent.reachable import reachability_of
from profiles.editing.locking import lock_root
from profiles.models import Message, Source

CHANNEL = "email"
_LIMITS = {"subject": 200, "text": 20_000}


@transaction.atomic
def send_message(
    *, profile_id: int, subject: str, text: str, purpose: str, actor: Actor, source: Source
) -> Message:
    """Queue one e-mail to the profile's address; what became of it shows on the timeline.

    ``purpose`` is what they must have agreed to (``newsletter``, ``marketing`` …). Raises Invalid, and
    RuleForbids without an address, without a consent that holds now, and where somebody else's no stands on it.
    """
    subject, text = (part.replace("\x00", "").strip() for part in (subject, text))
    purpose = _check(subject=" ".join(subject.split()), text=text, purpose=purpose)
    root = lock_root(profile_id)
    if not root.email:
        raise RuleForbids(f"Profile #{root.pk} has no e-mail address.")
    reach = reachability_of(root, CHANNEL, purpose)
    if reach is None or not reach.consent.is_granted:
        raise RuleForbids(
            f"Not sent: this person has not agreed to e-mail for “{purpose}”. Record their consent first."
        )
    if not reach.is_reachable:
        raise RuleForbids(f"Not sent: {reach.reason(with_name=actor.can('profiles.view_pii'))}")
    queued = mail.queue_mail(to=[root.email], subject=subject, text=text)[0]
    message = Message.objects.create(
        profile=root,
        channel=CHANNEL,
        purpose=purpose,
        address=root.email,
        subject=queued.subject,
        text=text,
        user_id=actor.user_id,
        mail=queued,
    )
    audit.record(
        "profile.message",
        actor=actor,
        subject=f"profile:{root.pk}",
        detail={"message": message.pk, "purpose": purpose},
    )
    return message


def _check(*, purpose: str, **parts: str) -> str:
    """The purpose by its name; Invalid for what cannot be sent."""
    problems: list[dict[str, Any]] = []
    for name, value in parts.items():
        if not value:
            problems.append({"field": name, "value": None, "message": f"Write the {name} of the e-mail."})
        elif len(value) > _LIMITS[name]:
            message = f"The {name} has at most {_LIMITS[name]:,} characters; this has {len(value):,}."
            problems.append({"field": name, "value": None, "message": message})
    purposes = consent_lists().purposes
    word = purposes.find(purpose)
    if not purpose.strip():
        message = "Say what the e-mail is for, so that the consent can be checked."
        problems.append({"field": "purpose", "value": None, "message": message})
    elif word is None:
        problems.append({"field": "purpose", "value": purpose[:100], "message": purposes.unknown(purpose)})
    if problems or word is None:
        raise Invalid(problems)
    return word.name
