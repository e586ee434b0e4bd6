"""The base of every ModelAdmin: lists and forms that stay quick on tables of any size."""

from functools import cached_property
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters, ShowFacets
from django.contrib.admin.utils import unquote
from django.contrib.admin.views.main import ChangeList
from django.contrib.admin.widgets import ForeignKeyRawIdWidget
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.db import connections, models
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from cdp import audit
from cdp.actors import Actor
from cdp.models import AuditEntry

# Nothing is counted beyond this; a longer list displays "more than 10,000".
COUNT_LIMIT = 10_000
MAX_ROWS = 100


class BoundedPaginator(Paginator):
    """Never counts more than it must: the table's own estimate when nothing is filtered, else up to a limit.

    ``count_text`` is the number and its kind: exact, "≈ 1,204,000" or "more than 10,000".
    """

    object_list: models.QuerySet[Any]

    @cached_property
    def _counted(self) -> tuple[int, str]:
        estimate = self._estimate()
        if estimate > COUNT_LIMIT:
            return estimate, f"≈ {_rounded(estimate):,}"
        count = self.object_list.order_by()[: COUNT_LIMIT + 1].count()
        if count > COUNT_LIMIT:
            return count, f"more than {COUNT_LIMIT:,}"
        return count, f"{count:,}"

    @property
    def count(self) -> int:
        return self._counted[0]

    @property
    def count_text(self) -> str:
        return self._counted[1]

    @property
    def is_exact(self) -> bool:
        return self._counted[0] <= COUNT_LIMIT

    def _estimate(self) -> int:
        """Rows of the whole table as the planner knows them; 0 where that is not this list's number."""
        if self.object_list.query.where:
            return 0
        with connections[self.object_list.db].cursor() as cursor:
            cursor.execute(
                "SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass",
                [self.object_list.model._meta.db_table],
            )
            return int(max(0, cursor.fetchone()[0]))


def _rounded(estimate: int) -> int:
    """Three figures; more would pretend to know."""
    step = 10 ** max(0, len(str(estimate)) - 3)
    return int(estimate // step * step)


class CdpChangeList(ChangeList):
    """Pages by "what comes after this row" where the order is by id, else by a bounded offset.

    One row more than a page is read to know whether there is a next page. Causes two queries.
    """

    previous_url = ""
    next_url = ""
    count_text = ""
    is_exact = True

    def get_filters_params(self, params: Any = None) -> Any:
        lookups = super().get_filters_params(params)
        for name in ("after", "before"):
            lookups.pop(name, None)
        return lookups

    def get_results(self, request: HttpRequest) -> None:
        paginator = self.model_admin.get_paginator(request, self.queryset, self.list_per_page)
        if set(self.queryset.query.order_by) in ({"-pk"}, {"-id"}):
            rows = self._by_key()
        else:
            rows = self._by_offset()
        self.result_list = rows
        self.paginator = paginator
        self.result_count = paginator.count
        if isinstance(paginator, BoundedPaginator):
            self.count_text, self.is_exact = paginator.count_text, paginator.is_exact
        self.full_result_count = None
        self.show_full_result_count = False
        self.show_admin_actions = bool(rows) or paginator.count > 0
        self.can_show_all = False
        self.multi_page = False  # no page numbers; see templates/admin/pagination.html

    def _by_key(self) -> list[Any]:
        after, before = self._key("after"), self._key("before")
        if before is not None:
            rows = list(self.queryset.filter(pk__gt=before).order_by("pk")[: self.list_per_page + 1])
            has_more, rows = len(rows) > self.list_per_page, rows[: self.list_per_page][::-1]
            self._link(rows if has_more else [], rows)
        else:
            queryset = self.queryset if after is None else self.queryset.filter(pk__lt=after)
            rows = list(queryset[: self.list_per_page + 1])
            has_more, rows = len(rows) > self.list_per_page, rows[: self.list_per_page]
            self._link(rows if after is not None else [], rows if has_more else [])
            if after is not None and not rows:
                self.previous_url = self.get_query_string(remove=["after", "before"])
        return rows

    def _link(self, newer: list[Any], older: list[Any]) -> None:
        if newer:
            self.previous_url = self.get_query_string({"before": newer[0].pk}, ["after", "before"])
        if older:
            self.next_url = self.get_query_string({"after": older[-1].pk}, ["after", "before"])

    def _key(self, name: str) -> Any:
        if name not in self.params:
            return None
        try:
            return self.opts.pk.to_python(self.params[name])
        except ValidationError as error:
            raise IncorrectLookupParameters(error) from error

    def _by_offset(self) -> list[Any]:
        last = COUNT_LIMIT // self.list_per_page
        page = min(max(1, self.page_num), last)
        start = (page - 1) * self.list_per_page
        rows = list(self.queryset[start : start + self.list_per_page + 1])
        if page > 1:
            self.previous_url = self.get_query_string({"p": page - 1})
        if len(rows) > self.list_per_page and page < last:
            self.next_url = self.get_query_string({"p": page + 1})
        return rows[: self.list_per_page]


class CdpModelAdmin(admin.ModelAdmin):
    """Defaults for tables of any size, and the audit log in place of Django's own (which keeps names).

    Give ``list_select_related`` the relations a list shows; keep ``ordering`` by ``-pk`` for keyset pages;
    no list filter over a many-valued relation or over all values of a column (both read the whole table).
    ``empty`` is the text of an empty list: title, sentence, and optionally a link's url name and label.
    ``noun`` and ``nouns`` name the rows where the model's own name is not what people say.
    """

    show_full_result_count = False
    show_facets = ShowFacets.NEVER
    list_per_page = MAX_ROWS
    list_max_show_all = 0
    paginator = BoundedPaginator
    save_as_continue = False
    list_select_related: ClassVar[Any] = True
    page_title = ""
    page_sub = ""
    noun = ""
    nouns = ""
    empty: tuple[str, ...] = ()

    def __init__(self, model: type[models.Model], admin_site: admin.AdminSite) -> None:
        super().__init__(model, admin_site)
        self.noun = self.noun or str(self.opts.verbose_name)
        self.nouns = self.nouns or str(self.opts.verbose_name_plural)
        # First letter only: “API keys” stays as it is.
        self.page_title = self.page_title or self.nouns[:1].upper() + self.nouns[1:]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return CdpChangeList

    def get_list_select_related(self, request: HttpRequest) -> Any:
        """Only relations the list shows are read along; ``True`` would follow every one that is not null."""
        if self.list_select_related is not True:
            return self.list_select_related
        displayed = set(self.get_list_display(request))
        return tuple(
            field.name
            for field in self.opts.fields
            if isinstance(field, models.ForeignKey) and field.name in displayed
        )

    def get_autocomplete_fields(self, request: HttpRequest) -> Any:
        """Every foreign key whose target can be searched; a select would list the whole table."""
        return tuple(
            field.name
            for field in self.opts.fields
            if isinstance(field, models.ForeignKey) and self._can_search(field.related_model)
        )

    def _can_search(self, model: Any) -> bool:
        target = self.admin_site._registry.get(model)
        return bool(target and target.search_fields)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if "widget" not in kwargs and not self._can_search(db_field.related_model):
            kwargs["widget"] = ForeignKeyRawIdWidget(db_field.remote_field, self.admin_site)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        context = {
            "title": self.page_title,
            "subtitle": self.page_sub,
            "empty": self.empty,
            **(extra_context or {}),
        }
        return super().changelist_view(request, context)

    def changeform_view(
        self, request: HttpRequest, object_id: Any = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        context = {
            "title": None if object_id else f"Add {self.noun}",
            "list_title": self.page_title,
            "show_save_and_add_another": False,
            "show_save_and_continue": False,
            **(extra_context or {}),
        }
        return super().changeform_view(request, object_id, form_url, context)

    # What was done goes to the audit log, by id and field name, without values.

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return self._record(request, "add", obj, {})

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        parts = [part.get("changed", {}) for part in message if isinstance(part, dict)]
        fields = [name for part in parts for name in part.get("fields", [])]
        return self._record(request, "change", obj, {"fields": fields})

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        return audit.record_many(
            f"{self.opts.model_name}.delete",
            actor=Actor.of_request(request),
            subjects=[self.subject_of(obj) for obj in queryset],
        )

    def _record(self, request: HttpRequest, verb: str, obj: Any, detail: dict[str, Any]) -> Any:
        return audit.record(
            f"{self.opts.model_name}.{verb}",
            actor=Actor.of_request(request),
            subject=self.subject_of(obj),
            detail=detail,
        )

    def subject_of(self, obj: Any) -> str:
        return f"{self.opts.model_name}:{obj.pk}"

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """The audit log's entries about one row, newest first. Needs the right to read the log."""
        obj = self.get_object(request, unquote(object_id))
        if obj is None:
            raise Http404(f"There is no {self.opts.verbose_name} {object_id}.")
        if not (self.has_view_permission(request, obj) and request.user.has_perm("cdp.view_auditentry")):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": f"History of {obj}",
            "opts": self.opts,
            "object": obj,
            "list_title": self.page_title,
            "entries": list(AuditEntry.objects.filter(subject=self.subject_of(obj))[:MAX_ROWS]),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/object_history.html", context)


class ReadOnlyAdmin(CdpModelAdmin):
    """For rows that are only ever added, by verbs: looked at here, never written. Pages by key."""

    ordering = ("-pk",)
    actions = None

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
