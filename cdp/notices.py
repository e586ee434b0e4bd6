"""Something happened to a login → a mail to it: what, when, from where and by whom, and what to do if that was not meant.

Each is queued in the transaction that does it, as every mail is (cdp/mail.py). A login without an address gets none.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.conf import settings
from django.utils import timezone

from cdp.actors import Actor
from cdp.logs import request_address
from cdp.mail import queue_mail
from cdp.models import ApiKey, User
from cdp.plurals import counted


def password_set(user: User, *, actor: Actor) -> None:
    _send(user, "Your password was changed", f"The password of your login “{user}” was changed.", actor=actor)


def email_changed(user: User, *, old: str, actor: Actor) -> None:
    """To both addresses: whoever took the login over would have changed it to their own."""
    text = f"The e-mail address of your login “{user}” was changed from {old or 'none'} to {user.email or 'none'}."
    _send(user, "Your e-mail address was changed", text, actor=actor, to=(old, user.email))


def key_created(key: ApiKey, *, actor: Actor) -> None:
    if key.owner is not None:
        text = f"An API key, “{key.name}”, was created in your name. It may: {', '.join(key.scopes)}."
        _send(key.owner, "An API key was created in your name", text, actor=actor)


def key_revoked(key: ApiKey, *, actor: Actor) -> None:
    if key.owner is not None:
        text = f"The API key “{key.name}” in your name was revoked. Calls with it are refused."
        _send(key.owner, "An API key in your name was revoked", text, actor=actor)


def key_handed_over(key: ApiKey, *, before: User | None, actor: Actor) -> None:
    """To who answered for it and to who answers for it now. Expects the new ``owner`` on the key."""
    if before is not None:
        text = (
            f"The login “{key.owner}” answers for the API key “{key.name}” from now on, and you no longer do."
        )
        _send(before, "An API key is no longer in your name", text, actor=actor)
    if key.owner is not None:
        text = f"You answer for the API key “{key.name}” from now on. It may: {', '.join(key.scopes)}."
        _send(key.owner, "An API key is in your name now", text, actor=actor)


def rights_changed(user: User, *, given: Sequence[str], taken: Sequence[str], actor: Actor) -> None:
    """``given`` and ``taken`` in words."""
    parts = [f"You were given: {', '.join(given)}."] if given else []
    parts += [f"Taken away: {', '.join(taken)}."] if taken else []
    text = f"What your login “{user}” may do was changed. {' '.join(parts)}"
    _send(user, "Your roles and rights were changed", text, actor=actor)


def locked_out(user: User, *, minutes: int) -> None:
    text = (
        f"Somebody entered wrong passwords for your login “{user}” again and again. From there it can be tried again in"
        f" {counted(minutes, 'minutes')}. Your password was not guessed. If it was you and you forgot it, choose"
        " “Forgot your password?” on the login page."
    )
    _send(user, "Wrong passwords for your login", text)


def _send(
    user: User, subject: str, text: str, *, actor: Actor | None = None, to: Sequence[str] | None = None
) -> None:
    moment = timezone.localtime()
    facts = [f"When: {moment.day} {moment:%B %Y, %H:%M} {moment.tzname()}"]
    if address := request_address.get():
        facts.append(f"From: {address}")
    if actor is not None:
        facts.append(f"By: {'you' if actor.user_id == user.pk else actor.name}")
    ending = (
        "If you know nothing of this, change your password and tell whoever manages logins at once:"
        f" {settings.CDP_URL}"
    )
    addresses = [address for address in ((user.email,) if to is None else to) if address]
    queue_mail(to=addresses, subject=subject, text="\n\n".join([text, "\n".join(facts), ending]) + "\n")
