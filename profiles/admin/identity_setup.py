"""The setup page: what makes two records one person. Asked once, changeable later."""

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from cdp.actors import Actor
from cdp.errors import Refused
from profiles.identity.change_rules import choose_identity, current_identity

PRESET_WORDS = {
    "customer_id_first": (
        "Customer id first",
        "Your shop's or system's own number decides. A changed e-mail never creates a new person;"
        " two customers may share one e-mail and stay two people.",
    ),
    "email_first": (
        "E-mail first",
        "People with the same e-mail are one person. For newsletters and sites without customer numbers.",
    ),
}


class IdentityForm(forms.Form):
    preset = forms.ChoiceField(
        choices=[(name, words[0]) for name, words in PRESET_WORDS.items()], widget=forms.RadioSelect
    )
    email_is_contact_only = forms.BooleanField(required=False)


def setup(request: HttpRequest) -> HttpResponse:
    """Shows and saves the preset. Needs the right to change identity rules."""
    if not request.user.has_perm("profiles.change_identifiertype"):
        raise PermissionDenied
    now = current_identity()
    form = IdentityForm(
        request.POST or None,
        initial={"preset": now.preset, "email_is_contact_only": now.email_is_contact_only},
    )
    if request.method == "POST" and form.is_valid():
        try:
            jobs = choose_identity(actor=Actor.of_request(request), **form.cleaned_data)
        except Refused as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, "Saved. Imports, the API and forms follow this from now on.")
            if jobs:
                messages.info(request, "Existing values are being updated.")
                return redirect("admin:cdp_job_change", jobs[0].pk)
            return redirect("admin:cdp_setup")
    chosen = form["preset"].value()
    context = {
        **admin.site.each_context(request),
        "title": "What makes two records one person",
        "form": form,
        "presets": [(name, *words, name == chosen) for name, words in PRESET_WORDS.items()],
    }
    return TemplateResponse(request, "admin/cdp/setup.html", context)
