"""The Help: every document is a page, its links and pictures lead somewhere, and machines get the same text."""

from __future__ import annotations

import re
from collections.abc import Callable

from django.test import Client
from django.urls import resolve

from cdp import docs
from cdp.models import User

Login = Callable[[User], Client]


def test_every_document_is_a_page_whose_links_exist(olga: User, as_user: Login) -> None:
    client = as_user(olga)
    index = client.get("/admin/help/").content.decode()
    assert next(iter(docs.documents())) == "guide"
    for name, document in docs.documents().items():
        assert document.title in index
        page = client.get(f"/admin/help/{name}/").content.decode()
        assert f">{document.title}</h1>" in page
        article = page.partition('<article class="panel prose">')[2].partition("</article>")[0]
        assert not re.search(r"<script|\sstyle=|\son[a-z]+=", article)
        for target in re.findall(r'(?:href|src)="([^"#]+)', article):
            if target.startswith("/"):
                resolve(target)
                assert client.get(target).status_code in (200, 302), (name, target)
            else:
                assert target.startswith(("https://", "http://127.0.0.1")), (name, target)
        for anchor in re.findall(r'href="#([^"]+)"', article):
            assert f'id="{anchor}"' in article, (name, anchor)


def test_markup_in_a_document_is_shown_as_text_and_unknown_names_are_not_found(
    olga: User, as_user: Login
) -> None:
    document = docs.Document("x", "X", "", "# X\n\n<b>bold</b> ![p](images/none.png) [a](guide.md#top)\n")
    html = docs.as_html(document, page_url=lambda name: f"/p/{name}/", image_url=lambda name: f"/i/{name}")
    assert "&lt;b&gt;bold&lt;/b&gt;" in html
    assert 'src="/i/none"' in html
    assert 'href="/p/guide/#top"' in html
    client = as_user(olga)
    for address in ("/admin/help/nothing/", "/admin/help/images/nothing.png", "/docs/nothing.md"):
        assert client.get(address).status_code == 404
    assert docs.image("../settings") is None
    assert Client().get("/admin/help/").status_code == 302


def test_machines_find_every_document_as_text() -> None:
    index = Client().get("/llms.txt").content.decode()
    for name, document in docs.documents().items():
        assert f"- [{document.title}](http://127.0.0.1:8000/docs/{name}.md): {document.summary}" in index
        answer = Client().get(f"/docs/{name}.md")
        assert answer.content.decode() == document.text
        assert answer["Content-Type"] == "text/markdown; charset=utf-8"
