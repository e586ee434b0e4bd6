"""Admin pages of mail: sent, waiting, and on a local installation what would have been sent."""

import base64
import binascii
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.safestring import SafeString
from django.utils.text import get_valid_filename
from django.views.decorators.http import require_GET

from cdp.admin.model_admin import ReadOnlyAdmin
from cdp.looks import saw_rows
from cdp.models import Mail
from cdp.templatetags.cdp import ago, state_badge


class MailAdmin(ReadOnlyAdmin):
    list_display = ("subject", "recipients", "state_display", "created")
    list_filter = ("state",)
    search_fields = ("subject", "to")
    page_title = "Mailbox"
    page_sub = "Mails of the product itself: import summaries, messages to people, links to exports."
    empty = ("No mail yet", "The summary of your first import will be here.")

    @admin.display(description="To")
    def recipients(self, mail: Mail) -> str:
        more = f" and {len(mail.to) - 1} more" if len(mail.to) > 1 else ""
        return f"{mail.to[0] if mail.to else 'nobody'}{more}"

    @admin.display(description="State")
    def state_display(self, mail: Mail) -> SafeString:
        return state_badge(mail)

    @admin.display(description="When")
    def created(self, mail: Mail) -> str:
        return ago(mail.created_at)

    def get_urls(self) -> list[Any]:
        return [
            path(
                "<int:mail_id>/attachment/<int:number>/",
                self.admin_site.admin_view(require_GET(self.attachment_view)),
                name="cdp_mail_attachment",
            ),
            *super().get_urls(),
        ]

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Mail | None:
        """For the page of its history, whose title is the mail's subject."""
        mail: Mail | None = super().get_object(request, object_id, from_field)
        if mail is not None:
            saw_rows("mail", [mail.pk])
        return mail

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        response = super().changelist_view(request, extra_context)
        rows = getattr(response, "context_data", {}).get("cl")
        if rows is not None:
            saw_rows("mail", [mail.pk for mail in rows.result_list])
        return response

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return require_GET(self._detail)(request, object_id)

    def _detail(self, request: HttpRequest, object_id: str) -> HttpResponse:
        mail = self._mail(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "title": mail.subject,
            "opts": self.opts,
            "mail": mail,
            # Whoever may set every password learns nothing by it; on a machine of one's own that is how links arrive.
            "is_hidden": mail.is_secret and not (mail.text and request.user.is_superuser),
        }
        return TemplateResponse(request, "admin/cdp/mail/detail.html", context)

    def attachment_view(self, request: HttpRequest, mail_id: int, number: int) -> HttpResponse:
        """Always a download of plain bytes: what came by mail is never shown as a page of ours."""
        mail = self._mail(request, str(mail_id))
        if not 1 <= number <= len(mail.attachments):
            raise Http404(f"This mail has {len(mail.attachments)} attachments.")
        attachment = mail.attachments[number - 1]
        try:
            content = base64.b64decode(attachment["content"], validate=True)
        except (KeyError, binascii.Error) as error:
            raise Http404("This attachment is no longer kept.") from error
        name = get_valid_filename(attachment.get("name") or f"attachment-{number}")
        return HttpResponse(
            content,
            content_type="application/octet-stream",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )

    def _mail(self, request: HttpRequest, object_id: str) -> Mail:
        if not self.has_view_permission(request):
            raise PermissionDenied
        mail = (
            Mail.objects.select_related("job").filter(pk=object_id).first() if object_id.isdigit() else None
        )
        if mail is None:
            raise Http404(f"There is no mail #{object_id}.")
        saw_rows("mail", [mail.pk])
        return mail


admin.site.register(Mail, MailAdmin)
