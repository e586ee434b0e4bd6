"""EMAIL_URL → Django's settings for sending mail. Pure.

``dj_email_url`` knows STARTTLS as ``submission://`` alone, and leaves the backend as it was for a scheme that it does not
know: mail would stay here, and nobody would be told.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import dj_email_url
from django.core.exceptions import ImproperlyConfigured

# What others call it: STARTTLS, and TLS from the first byte on.
_STARTTLS, _TLS = "smtp+tls", "smtp+ssl"
_SENDING = ("smtp", "submission", "submit", _STARTTLS, _TLS)


def mail_settings(url: str) -> dict[str, Any]:
    """``EMAIL_HOST``, ``EMAIL_USE_TLS`` …; raises ImproperlyConfigured for what is no mail server's address."""
    scheme, _, rest = url.partition("://")
    if scheme not in _SENDING or not urlsplit(url).hostname:
        raise ImproperlyConfigured(
            "EMAIL_URL is no address of a mail server. Write smtp+tls://user:password@host:587 (STARTTLS),"
            " smtp+ssl://user:password@host:465 (TLS) or smtp://host:25 (neither)."
        )
    known = {_STARTTLS: "submission", _TLS: "smtp"}.get(scheme, scheme)
    found: dict[str, Any] = dj_email_url.parse(f"{known}://{rest}")
    if scheme == _TLS:
        found |= {"EMAIL_USE_SSL": True, "EMAIL_PORT": urlsplit(url).port or 465}
    return found
