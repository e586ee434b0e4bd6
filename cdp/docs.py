"""The documents of the repository (``docs/``) → pages of the Help inside the admin, and the index of /llms.txt."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify
from markdown_it import MarkdownIt
from markdown_it.token import Token

FOLDER = settings.BASE_DIR / "docs"
# In the order a reader needs them; others follow by name.
_FIRST = ("guide", "architecture", "contributing", "operations", "security", "benchmarks", "migrating")
_NAME = re.compile(r"[a-z0-9-]+")


@dataclass(frozen=True, slots=True)
class Document:
    """``name`` is the file's without ending; ``title`` its first heading, ``summary`` the paragraph below it."""

    name: str
    title: str
    summary: str
    text: str


@cache
def documents() -> dict[str, Document]:
    """Every document by name, in the order of the index. Read once per process: they ship with the code."""
    names = sorted(path.stem for path in FOLDER.glob("*.md"))
    ordered = [*(name for name in _FIRST if name in names), *(name for name in names if name not in _FIRST)]
    return {name: _read(FOLDER / f"{name}.md") for name in ordered}


def _read(path: Path) -> Document:
    text = path.read_text()
    tokens = MarkdownIt().parse(text)
    contents = [token.content for token in tokens if token.type == "inline"]
    return Document(path.stem, contents[0], " ".join(contents[1].split()), text)


def image(name: str) -> Path | None:
    """The file of a picture in ``docs/images``, or None. ``name`` is without folder and ending (PNG)."""
    if not _NAME.fullmatch(name):
        return None
    path = FOLDER / "images" / f"{name}.png"
    return path if path.is_file() else None


def as_html(document: Document, *, page_url: Any, image_url: Any) -> SafeString:
    """The document as HTML: headings with ids, links to other documents and pictures by the given functions.

    HTML in the source is shown as text, so nothing but Markdown becomes markup.
    """
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = reader.parse(document.text)
    for before, token in pairwise(tokens):
        if before.type == "heading_open":
            before.attrs["id"] = slugify(token.content)
        for child in token.children or ():
            _redirect(child, page_url, image_url)
    return mark_safe(str(reader.renderer.render(tokens, reader.options, {})))  # noqa: S308  (our own documents)


def _redirect(token: Token, page_url: Any, image_url: Any) -> None:
    """Links between files of the repository lead to pages of the Help."""
    if token.type == "link_open":
        target, mark, anchor = str(token.attrs.get("href", "")).partition("#")
        if (name := target.removesuffix(".md")) in documents() and target.endswith(".md"):
            token.attrs["href"] = page_url(name) + mark + anchor
    elif token.type == "image":
        source = str(token.attrs.get("src", ""))
        if source.startswith("images/"):
            token.attrs["src"] = image_url(source.removeprefix("images/").removesuffix(".png"))
            token.attrs["loading"] = "lazy"
