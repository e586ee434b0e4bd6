"""Tags: name, color, how many people have each; rename, merge two, delete with a preview."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.db.models.functions import Lower
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from cdp.actors import Actor
from cdp.admin.model_admin import CdpChangeList, CdpModelAdmin
from cdp.admin.query_timeout import within_patience
from cdp.errors import Refused
from cdp.plurals import counted
from cdp.templatetags.cdp import number
from profiles.admin.csv_tables import DefinitionFiles, TagResource
from profiles.builtin_sources import builtin_source
from profiles.models import Profile, ProfileTag, Tag
from profiles.tagging import count_profiles, delete_tag, merge_tags, rename_tag


class TagForm(forms.ModelForm):
    class Meta:
        model = Tag
        fields = ("name", "color", "description")
        widgets = {"description": forms.Textarea(attrs={"rows": 3})}

    def clean_name(self) -> str:
        name = " ".join(self.cleaned_data["name"].split())
        others = Tag.objects.annotate(low=Lower("name")).filter(low=name.lower()).exclude(pk=self.instance.pk)
        if others.exists():
            raise forms.ValidationError(f"There is a tag “{name}” already. Merge the two instead.")
        return name


class TagChangeList(CdpChangeList):
    def get_results(self, request: HttpRequest) -> None:
        """Adds ``people`` to each tag shown: one query for the page, left out where it takes too long."""
        super().get_results(request)
        tags = self.result_list
        counts = within_patience(lambda: people_by_tag([tag.pk for tag in tags]))
        for tag in tags:
            tag.people = None if counts is None else counts.get(tag.pk, 0)


def people_by_tag(tag_ids: list[int]) -> dict[int, int]:
    """Live people for each tag, each person once however many of their members carry it. One query."""
    links = ProfileTag.objects.filter(tag__in=tag_ids, profile__canonical__status=Profile.Status.LIVE)
    return dict(links.values_list("tag").annotate(Count("profile__canonical", distinct=True)))


class TagAdmin(DefinitionFiles, CdpModelAdmin):
    """Writes go through the tagging verbs, so that each person's journal records them."""

    form = TagForm
    resource_classes = (TagResource,)
    list_display = ("badge", "description", "people_count")
    list_display_links = ("badge",)
    search_fields = ("name",)
    ordering = ("name",)
    actions = None
    page_sub = "Labels on people, put on by hand, import, API or bulk action."
    empty = (
        "No tags yet",
        "Make the first one here, or tag people in an import or on a card.",
        "admin:profiles_tag_add",
        "Add tag",
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[CdpChangeList]:
        return TagChangeList

    @admin.display(description="Tag", ordering="name")
    def badge(self, tag: Tag) -> SafeString:
        return format_html('<span class="badge {}">{}</span>', tag.color, tag.name)

    @admin.display(description="People")
    def people_count(self, tag: Any) -> str:
        return "…" if tag.people is None else number(tag.people)

    def save_model(self, request: HttpRequest, obj: Tag, form: Any, change: bool) -> None:
        if change and "name" in form.changed_data:
            rename_tag(tag_id=obj.pk, name=obj.name, **_by(request))
        super().save_model(request, obj, form, change)

    def get_urls(self) -> list[Any]:
        return [
            path(
                "<int:tag_id>/merge/",
                self.admin_site.admin_view(self.merge_view),
                name="profiles_tag_merge",
            ),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        tag = self._tag(object_id)
        context = {"people": count_profiles(tag) if tag else 0, "tag": tag, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def merge_view(self, request: HttpRequest, tag_id: int) -> HttpResponse:
        """Choose the tag to absorb, see how many people it is on, then merge."""
        if not (self.has_change_permission(request) and self.has_delete_permission(request)):
            raise PermissionDenied
        winner, loser = (
            self._tag(str(tag_id)),
            self._tag(request.POST.get("loser") or request.GET.get("loser") or ""),
        )
        if winner is None:
            raise Http404(f"There is no tag #{tag_id}.")
        if request.method == "POST" and loser is not None:
            try:
                done = merge_tags(winner_id=winner.pk, loser_id=loser.pk, **_by(request))
            except Refused as error:
                messages.error(request, error.message)
            else:
                messages.success(
                    request, f"“{loser.name}” is now “{winner.name}”. {_count(done.changed)} got the tag."
                )
                return redirect("admin:profiles_tag_change", winner.pk)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Merge a tag into “{winner.name}”",
            "opts": self.opts,
            "tag": winner,
            "loser": loser if loser != winner else None,
            "others": Tag.objects.exclude(pk=winner.pk),
            "people": count_profiles(winner),
            "loser_people": count_profiles(loser) if loser else 0,
        }
        return TemplateResponse(request, "admin/profiles/tag/merge.html", context)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """The preview counts people; listing every link would read them all."""
        return [], {}, set(), []

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        tag = self._tag(object_id)
        context = {"people": count_profiles(tag) if tag else 0, **(extra_context or {})}
        return super().delete_view(request, object_id, context)

    def delete_model(self, request: HttpRequest, obj: Tag) -> None:
        delete_tag(tag_id=obj.pk, **_by(request))

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """The verb has written to the audit log."""
        return []

    def _tag(self, object_id: str) -> Tag | None:
        return Tag.objects.filter(pk=object_id).first() if object_id.isdigit() else None


def _by(request: HttpRequest) -> dict[str, Any]:
    return {"actor": Actor.of_request(request), "source": builtin_source("staff")}


def _count(count: int) -> str:
    return counted(count, "people")


admin.site.register(Tag, TagAdmin)
