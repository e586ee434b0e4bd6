"""The mailbox: readable, never executed, for who may read it."""

from __future__ import annotations

import base64
from collections.abc import Callable

from django.test import Client
from django.urls import reverse

from cdp.models import Mail, User

Login = Callable[[User], Client]


def make_mail(**fields: object) -> Mail:
    return Mail.objects.create(
        **{
            "to": ["ada@staff.example"],
            "subject": "Import done",
            "text": "98 rows",
            "state": "kept",
            **fields,
        }
    )


def test_reads_text_and_shows_html_as_source(ada: User, as_user: Login) -> None:
    mail = make_mail(
        subject="<b>done</b>",
        text="<img src=x onerror=alert(1)>\nSee https://cdp.example/a?b=1 or javascript:alert(1)",
        html="<script>alert(1)</script>",
    )
    html = as_user(ada).get(reverse("admin:cdp_mail_change", args=[mail.pk])).content.decode()
    assert "<b>done</b>" not in html
    assert "&lt;b&gt;done&lt;/b&gt;" in html
    assert "<img src=x" not in html
    assert "<script>alert" not in html
    assert 'href="https://cdp.example/a?b=1"' in html
    assert 'href="javascript' not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_lists_the_newest_first_and_finds_by_subject(ada: User, as_user: Login) -> None:
    url = reverse("admin:cdp_mail_changelist")
    assert "No mail yet" in as_user(ada).get(url).content.decode()
    make_mail(subject="First"), make_mail(subject="Second", to=["a@example.com", "b@example.com"])
    html = as_user(ada).get(url).content.decode()
    assert html.index("Second") < html.index("First")
    assert "a@example.com and 1 more" in html
    found = as_user(ada).get(url, {"q": "first"}).content.decode()
    assert "First" in found
    assert "Second" not in found


def test_attachments_are_downloads_of_plain_bytes(ada: User, as_user: Login) -> None:
    page = base64.b64encode(b"<script>alert(1)</script>").decode()
    mail = make_mail(
        attachments=[{"name": '../"x".html', "type": "text/html", "content": page}, {"name": "lost"}]
    )
    answer = as_user(ada).get(reverse("admin:cdp_mail_attachment", args=[mail.pk, 1]))
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"] == 'attachment; filename="..x.html"'
    assert answer.content == b"<script>alert(1)</script>"
    for number in (0, 2, 3):
        assert (
            as_user(ada).get(reverse("admin:cdp_mail_attachment", args=[mail.pk, number])).status_code == 404
        )


def test_only_for_who_may_read_mail(ada: User, sam: User, as_user: Login) -> None:
    mail = make_mail(attachments=[{"name": "a", "content": ""}])
    urls = [
        reverse("admin:cdp_mail_changelist"),
        reverse("admin:cdp_mail_change", args=[mail.pk]),
        reverse("admin:cdp_mail_attachment", args=[mail.pk, 1]),
    ]
    assert [as_user(ada).get(url).status_code for url in urls] == [200, 200, 200]
    assert [as_user(sam).get(url).status_code for url in urls] == [403, 403, 403]
    assert as_user(ada).get("/admin/cdp/mail/x/change/").status_code == 404
    assert as_user(ada).post(urls[1], {"subject": "changed"}).status_code == 405
    for name in ("add", "delete"):
        url = reverse(f"admin:cdp_mail_{name}", args=[mail.pk] if name == "delete" else [])
        assert as_user(ada).post(url, {"post": "yes"}).status_code == 403
