"""Notices for the next page → a cookie that no other host can set; Django's, under a name like that of the session's."""

from django.conf import settings
from django.contrib.messages.storage.cookie import CookieStorage
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.messages.storage.session import SessionStorage


class HostCookieStorage(CookieStorage):
    cookie_name = "__Host-messages" if settings.HTTPS else "messages"


class MessageStorage(FallbackStorage):
    """What is too long for a cookie goes to the session."""

    storage_classes = (HostCookieStorage, SessionStorage)
