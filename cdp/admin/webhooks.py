"""Admin pages of webhooks: topics, deliveries and their answers, and sending a message again."""

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET, require_POST

from cdp import audit, http_client, webhooks
from cdp.actors import Actor
from cdp.admin.audit import subject_link
from cdp.admin.confirm import confirm_first
from cdp.admin.model_admin import CdpModelAdmin, ReadOnlyAdmin
from cdp.ids import row_id
from cdp.models import Delivery, Webhook
from cdp.models.webhook import new_secret
from cdp.sessions import is_confirmed
from cdp.templatetags.cdp import ago, state_badge

RECENT = 15


class WebhookForm(forms.ModelForm):
    # Not a URLField: http_client.check_url has our sentence for what is wrong, and nothing is guessed.
    url = forms.CharField(
        max_length=500,
        label="Address",
        help_text="Where messages are posted, for example https://example.com/hook. Public networks only.",
        widget=forms.TextInput(attrs={"class": "vTextField", "inputmode": "url"}),
    )
    topics = forms.MultipleChoiceField(
        choices=[(topic, f"{topic} · {description}") for topic, description in webhooks.TOPICS.items()],
        widget=forms.CheckboxSelectMultiple,
        label="Send messages about",
        error_messages={"required": "Choose at least one topic."},
    )

    class Meta:
        model = Webhook
        fields = ("name", "url", "topics", "is_active")

    def clean_url(self) -> str:
        url = str(self.cleaned_data["url"]).strip()
        try:
            http_client.check_url(url)
        except http_client.Forbidden as error:
            raise forms.ValidationError(str(error)) from error
        return url


@method_decorator(confirm_first("GET", "POST"), name="add_view")
@method_decorator(confirm_first("POST"), name="change_view")
@method_decorator(confirm_first("POST"), name="delete_view")
@method_decorator(confirm_first("POST"), name="secret_view")
class WebhookAdmin(CdpModelAdmin):
    form = WebhookForm
    empty_value_display = ""
    list_display = ("name", "url_display", "topics_display", "is_active", "last_delivery", "trouble")
    list_filter = ("is_active",)
    ordering = ("name",)
    actions = None
    page_title = "Webhooks"
    page_sub = "Other systems that get a message when people change. Every message is signed."
    empty = (
        "No webhooks yet",
        "Add the address of a system that should know when people are added, changed or merged.",
        "admin:cdp_webhook_add",
        "Add a webhook",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Webhook]:
        """Each with its last success and whether something was given up: two index look-ups a row."""
        mine = Delivery.objects.filter(webhook=OuterRef("pk"))
        latest = mine.filter(state=Delivery.State.DELIVERED).order_by("-pk").values("delivered_at")[:1]
        webhooks: QuerySet[Webhook] = super().get_queryset(request)
        return webhooks.annotate(
            last_delivered_at=Subquery(latest), has_dead=Exists(mine.filter(state=Delivery.State.DEAD))
        )

    @admin.display(description="Address")
    def url_display(self, webhook: Webhook) -> SafeString:
        return format_html('<span class="clip" title="{}">{}</span>', webhook.url, webhook.url)

    @admin.display(description="Sends messages about")
    def topics_display(self, webhook: Webhook) -> str:
        return "everything" if set(webhook.topics) >= set(webhooks.TOPICS) else ", ".join(webhook.topics)

    @admin.display(description="Last delivered")
    def last_delivery(self, webhook: Any) -> SafeString | str:
        return ago(webhook.last_delivered_at) or "never"

    @admin.display(description="Problem")
    def trouble(self, webhook: Any) -> SafeString | str:
        if not webhook.has_dead:
            return ""
        return format_html('<a class="badge bad" href="{}">given up</a>', _deliveries_url(webhook, "dead"))

    def get_urls(self) -> list[Any]:
        views = {"test": self.test_view, "secret": self.secret_view}
        return [
            *(
                path(
                    f"<int:webhook_id>/{name}/",
                    self.admin_site.admin_view(require_POST(view)),
                    name=f"cdp_webhook_{name}",
                )
                for name, view in views.items()
            ),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        may_see = object_id.isdigit() and request.user.has_perm("cdp.view_delivery")
        deliveries = Delivery.objects.filter(webhook_id=object_id if may_see else 0).select_related("message")
        context = {
            "deliveries": list(deliveries[:RECENT]),
            "may_see_deliveries": may_see,
            "is_confirmed": is_confirmed(request),
            "deliveries_url": _deliveries_url(Webhook(pk=int(object_id))) if may_see else "",
            **(extra_context or {}),
        }
        return super().change_view(request, object_id, form_url, context)

    def test_view(self, request: HttpRequest, webhook_id: int) -> HttpResponse:
        webhook = self._webhook(request, webhook_id)
        sent = webhooks.send_test(webhook_id=webhook.pk, actor=Actor.of_request(request))
        if sent.state == Delivery.State.DELIVERED:
            messages.success(request, f"{webhook.name} received the test and answered {sent.status}.")
        else:
            messages.error(request, f"{webhook.name} did not accept the test. {sent.problem}")
        return redirect("admin:cdp_webhook_change", webhook.pk)

    def secret_view(self, request: HttpRequest, webhook_id: int) -> HttpResponse:
        webhook = self._webhook(request, webhook_id)
        webhook.secret = new_secret()
        webhook.save(update_fields=["secret"])
        audit.record("webhook.secret", actor=Actor.of_request(request), subject=f"webhook:{webhook.pk}")
        messages.success(request, "The secret is new. Messages sent from now on are signed with it.")
        return redirect("admin:cdp_webhook_change", webhook.pk)

    def _webhook(self, request: HttpRequest, webhook_id: int) -> Webhook:
        if not self.has_change_permission(request):
            raise PermissionDenied
        webhook = Webhook.objects.filter(pk=webhook_id).first()
        if webhook is None:
            raise Http404(f"There is no webhook #{webhook_id}.")
        return webhook


class DeliveryAdmin(ReadOnlyAdmin):
    """What became of each message; given-up ones can be sent again."""

    list_display = ("topic", "webhook", "about", "state_display", "tries", "last_answer", "when")
    list_filter = ("state", "webhook")
    list_select_related = ("webhook", "message")
    empty_value_display = ""
    actions: Any = ("replay_selected",)
    page_title = "Deliveries"
    page_sub = "Messages to webhooks, newest first. After ten tries over two days a message is given up."
    empty = ("No deliveries yet", "Messages are listed here once a webhook is set up and a person changes.")

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("cdp.change_delivery")

    @admin.action(description="Send again", permissions=["replay"])
    def replay_selected(self, request: HttpRequest, queryset: QuerySet[Delivery]) -> None:
        ids = queryset.values_list("pk", flat=True)
        count = webhooks.replay(delivery_ids=ids, actor=Actor.of_request(request))
        messages.success(
            request, f"{count:,} {'message is' if count == 1 else 'messages are'} sent again now."
        )

    @admin.display(description="Topic")
    def topic(self, delivery: Delivery) -> str:
        return delivery.message.topic

    @admin.display(description="About")
    def about(self, delivery: Delivery) -> SafeString | str:
        return subject_link(f"profile:{delivery.profile_id}") if delivery.profile_id else ""

    @admin.display(description="State")
    def state_display(self, delivery: Delivery) -> SafeString:
        return state_badge(delivery)

    @admin.display(description="Tries")
    def tries(self, delivery: Delivery) -> int:
        return delivery.attempts

    @admin.display(description="Last answer")
    def last_answer(self, delivery: Delivery) -> str:
        return delivery.problem or (str(delivery.status) if delivery.status else "")

    @admin.display(description="When")
    def when(self, delivery: Delivery) -> SafeString | str:
        return ago(delivery.message.created_at)

    def get_urls(self) -> list[Any]:
        replay = self.admin_site.admin_view(require_POST(self.replay_view))
        return [path("<int:delivery_id>/replay/", replay, name="cdp_delivery_replay"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return require_GET(self._detail)(request, object_id)

    def _detail(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        delivery = self._delivery(object_id)
        context = {
            **self.admin_site.each_context(request),
            "title": delivery.message.topic,
            "opts": self.opts,
            "delivery": delivery,
            "about": self.about(delivery),
            "payload": json.dumps(delivery.message.payload, indent=2, ensure_ascii=False),
            "may_replay": self.has_replay_permission(request) and delivery.state != Delivery.State.WAITING,
        }
        return TemplateResponse(request, "admin/cdp/delivery/detail.html", context)

    def replay_view(self, request: HttpRequest, delivery_id: int) -> HttpResponse:
        if not self.has_replay_permission(request):
            raise PermissionDenied
        delivery = self._delivery(str(delivery_id))
        webhooks.replay(delivery_ids=[delivery.pk], actor=Actor.of_request(request))
        messages.success(request, "The message is sent again now.")
        return redirect("admin:cdp_delivery_change", delivery.pk)

    def _delivery(self, object_id: str) -> Delivery:
        delivery = Delivery.objects.select_related("webhook", "message").filter(pk=row_id(object_id)).first()
        if delivery is None:
            raise Http404(f"There is no delivery #{object_id}.")
        return delivery


def _deliveries_url(webhook: Webhook, state: str = "") -> str:
    query = f"?webhook__id__exact={webhook.pk}" + (f"&state__exact={state}" if state else "")
    return reverse("admin:cdp_delivery_changelist") + query


admin.site.register(Webhook, WebhookAdmin)
admin.site.register(Delivery, DeliveryAdmin)
