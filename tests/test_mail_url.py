"""EMAIL_URL as operators write it: how mail is sent, and what is refused at the start."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from cdp.mail_url import mail_settings

SMTP = "django.core.mail.backends.smtp.EmailBackend"


@pytest.mark.parametrize(
    ("url", "port", "starttls", "tls"),
    [
        ("smtp+tls://ann%40x.example:p%2Fw@mail.example.com", 587, True, False),
        ("submission://ann%40x.example:p%2Fw@mail.example.com:2525", 2525, True, False),
        ("smtp+ssl://ann%40x.example:p%2Fw@mail.example.com", 465, False, True),
        ("smtp://ann%40x.example:p%2Fw@mail.example.com", 25, False, False),
    ],
)
def test_how_mail_is_sent(url: str, port: int, starttls: bool, tls: bool) -> None:
    found = mail_settings(url)
    assert found["EMAIL_BACKEND"] == SMTP
    assert (found["EMAIL_HOST"], found["EMAIL_PORT"]) == ("mail.example.com", port)
    assert (found["EMAIL_USE_TLS"], found["EMAIL_USE_SSL"]) == (starttls, tls)
    assert (found["EMAIL_HOST_USER"], found["EMAIL_HOST_PASSWORD"]) == ("ann@x.example", "p/w")


@pytest.mark.parametrize(
    "url", ["smtp+starttls://mail.example.com", "mail.example.com:25", "smtp://", "dummy://x"]
)
def test_what_is_no_mail_server_is_refused(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"Write smtp\+tls://user:password@host:587"):
        mail_settings(url)
