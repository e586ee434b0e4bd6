"""The pages of consent channels and purposes: what people can be asked for, and how often each was decided about."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from cdp.admin.model_admin import CdpChangeList, CdpModelAdmin
from cdp.admin.query_timeout import within_patience
from cdp.templatetags.cdp import number
from profiles.admin.definitions import LinesField
from profiles.consent.lists import consent_lists, decisions_by_word, is_used
from profiles.consent.words import CHANNEL, PURPOSE, SHIPPED
from profiles.identity.text import fold
from profiles.models import ConsentChannel, ConsentPurpose

Word = ConsentChannel | ConsentPurpose


def ledger_column(model: type[Word]) -> str:
    """The column of a decision that names rows of this model."""
    return CHANNEL if model is ConsentChannel else PURPOSE


def is_word_used(word: Word) -> bool:
    """Whether a decision names it; True as well where finding out takes too long."""
    return within_patience(lambda: is_used(ledger_column(type(word)), word.name)) is not False


def why_it_stays(word: Word) -> str:
    """The sentence that refuses to delete it; "" where it may go."""
    shipped = SHIPPED.channels if isinstance(word, ConsentChannel) else SHIPPED.purposes
    if word.name in {entry.name for entry in shipped}:
        return f"“{word}” ships with the product and stays. Archive it instead."
    return f"People have decided about “{word}”. Archive it instead." if is_word_used(word) else ""


def with_counts(words: list[Any], model: Any) -> list[Any]:
    """The words with ``decisions`` set, None where counting takes too long. One query."""
    counts = within_patience(lambda: decisions_by_word(ledger_column(model)))
    for word in words:
        word.decisions = None if counts is None else counts.get(word.name, 0)
    return words


class WordForm(forms.ModelForm):
    """Each spelling leads to one word, so none may be that of another."""

    synonyms = LinesField(
        label="Other spellings",
        help_text="One per line: words that forms, files and calls may use for it. Case, spaces, hyphens and _ do not"
        " count.",
    )
    archived = forms.BooleanField(
        required=False,
        help_text="Nobody can agree to it any more. What people decided stays, and a no is still taken.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["archived"].initial = self.instance.archived_at is not None

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        self.instance.archived_at = (
            (self.instance.archived_at or timezone.now()) if data.get("archived") else None
        )
        taken = {
            fold(spelling): other
            for other in self._meta.model.objects.exclude(pk=self.instance.pk)
            for spelling in (other.name, *other.synonyms)
        }
        name = data.get("name") or self.instance.name
        if name and (other := taken.get(fold(name))) is not None:
            self.add_error("name" if "name" in self.fields else None, _taken(name, other))
        synonyms = [word for word in data.get("synonyms") or [] if fold(word) != fold(name or "")]
        for synonym in synonyms:
            if not fold(synonym):
                self.add_error("synonyms", f"“{synonym}” has no letter or digit.")
            elif (other := taken.get(fold(synonym))) is not None:
                self.add_error("synonyms", _taken(synonym, other))
        data["synonyms"] = synonyms
        if name and not data.get("label"):
            data["label"] = name.replace("_", " ").capitalize()
        return data


def _taken(spelling: str, other: Word) -> str:
    return f"“{spelling}” is a spelling of “{other}” already."


class ChannelForm(WordForm):
    class Meta:
        model = ConsentChannel
        fields = ("name", "label", "contact", "synonyms")


class PurposeForm(WordForm):
    class Meta:
        model = ConsentPurpose
        fields = ("name", "label", "synonyms")


class WordChangeList(CdpChangeList):
    def get_results(self, request: HttpRequest) -> None:
        """Adds ``decisions`` to each row: one query for the page."""
        super().get_results(request)
        with_counts(self.result_list, self.model)


class WordAdmin(CdpModelAdmin):
    """One row per word; a used one is archived, not deleted, because decisions keep its name."""

    list_display_links = ("label_column",)
    search_fields = ("name", "label")
    ordering = ("name",)
    actions = None

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[CdpChangeList]:
        return WordChangeList

    @admin.display(description="Label", ordering="label")
    def label_column(self, word: Word) -> SafeString:
        if word.archived_at is None:
            return format_html("{}", word)
        return format_html('{} <span class="badge">archived</span>', word)

    @admin.display(description="Name", ordering="name")
    def name_column(self, word: Word) -> SafeString:
        return format_html("<code>{}</code>", word.name)

    @admin.display(description="Other spellings")
    def spellings(self, word: Word) -> str:
        return ", ".join(word.synonyms)

    @admin.display(description="Decisions")
    def decisions(self, word: Any) -> str:
        return "…" if word.decisions is None else number(word.decisions)

    def get_readonly_fields(self, request: HttpRequest, obj: Word | None = None) -> tuple[str, ...]:
        """The name is what integrations send and decisions keep; whom a channel reaches decides whose no counts."""
        if obj is None:
            return ()
        is_fixed = isinstance(obj, ConsentChannel) and is_word_used(obj)
        return ("name", "contact") if is_fixed else ("name",)

    def has_delete_permission(self, request: HttpRequest, obj: Word | None = None) -> bool:
        if obj is not None and why_it_stays(obj):
            return False
        return super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        consent_lists.forget()

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        super().delete_model(request, obj)
        consent_lists.forget()


class ChannelAdmin(WordAdmin):
    form = ChannelForm
    fields = ("name", "label", "contact", "synonyms", "archived")
    list_display = ("label_column", "name_column", "contact", "spellings", "decisions")
    page_sub = "The ways to reach somebody that a consent can be about. Nothing else is accepted, wherever it comes in."
    empty = (
        "No channels",
        "Without one nobody can agree to anything.",
        "admin:profiles_consentchannel_add",
        "Add consent channel",
    )


class PurposeAdmin(WordAdmin):
    form = PurposeForm
    fields = ("name", "label", "synonyms", "archived")
    list_display = ("label_column", "name_column", "spellings", "decisions")
    page_sub = "What people can agree to. Nothing else is accepted, wherever it comes in."
    empty = (
        "No purposes",
        "Without one nobody can agree to anything.",
        "admin:profiles_consentpurpose_add",
        "Add consent purpose",
    )


admin.site.register(ConsentChannel, ChannelAdmin)
admin.site.register(ConsentPurpose, PurposeAdmin)
