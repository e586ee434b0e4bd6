"""A subject and a text → one e-mail to a profile, only with consent, kept on the timeline."""

from __future__ import annotations

from django.db import transaction

from cdp import audit, mail
from cdp.actors import Actor
from cdp.errors import Invalid, RuleForbids
from profiles.consent.ledger import can_message
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
    RuleForbids without an address or without a consent that holds now.
    """
    subject, text = (part.replace("\x00", "").strip() for part in (subject, text))
    purpose = "_".join(purpose.strip().lower().split())
    _check(subject=" ".join(subject.split()), text=text, purpose=purpose)
    root = lock_root(profile_id)
    if not root.email:
        raise RuleForbids(f"Profile #{root.pk} has no e-mail address.")
    if not can_message(root.pk, CHANNEL, purpose):
        raise RuleForbids(
            f"Not sent: this person has not agreed to e-mail for “{purpose}”. Record their consent first."
        )
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


def _check(*, purpose: str, **parts: str) -> None:
    problems = []
    for name, value in parts.items():
        if not value:
            problems.append({"field": name, "value": None, "message": f"Write the {name} of the e-mail."})
        elif len(value) > _LIMITS[name]:
            message = f"The {name} has at most {_LIMITS[name]:,} characters; this has {len(value):,}."
            problems.append({"field": name, "value": None, "message": message})
    if not purpose:
        message = "Say what the e-mail is for, so that the consent can be checked."
        problems.append({"field": "purpose", "value": None, "message": message})
    if problems:
        raise Invalid(problems)
