"""A write key → the settings its SDK loads before it sends anything, which send its calls back to this server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.http import HttpRequest

    from profiles.tracking.sources.write_keys import Sender


SEGMENT, CUSTOMER_IO = "Segment.io", "Customer.io Data Pipelines"
# Customer.io's client is told to load from https://host/customerio.
CUSTOMER_IO_PATH = "customerio"


def segment_settings(request: HttpRequest, write_key: str, integration: str = SEGMENT) -> dict[str, Any]:
    """The settings of analytics-next and its kin: one integration, ourselves. No metrics, no plugins loaded from elsewhere.

    ``integration`` is what the client calls the server it sends to. There can be one only: with two, analytics-next
    loads a part of itself that is not here, and sends nothing.
    """
    prefix = request.path.partition("/v1/projects/")[0].removesuffix(f"/{CUSTOMER_IO_PATH}")
    host = f"{request.get_host()}{prefix}/v1"
    protocol = "https" if request.is_secure() else "http"
    everything = {"__default": {"enabled": True, "integrations": {}}}
    ourselves = {
        "apiKey": write_key,
        "apiHost": host,
        "protocol": protocol,
        "type": "browser",
        "versionSettings": {"version": "4.4.7", "componentTypes": ["browser"]},
        "bundlingStatus": "bundled",
        "addBundledMetadata": False,
        "unbundledIntegrations": [],
        "maybeBundledConfigIds": {},
        "retryQueue": True,
    }
    return {
        "integrations": {integration: ourselves},
        "plan": {"track": everything, "identify": everything, "group": everything},
        "edgeFunction": {},
        "analyticsNextEnabled": True,
        "enabledMiddleware": {},
        "middlewareSettings": {"routingRules": []},
        "remotePlugins": [],
        "legacyVideoPluginsEnabled": False,
        # Its own statistics would otherwise be posted to its maker.
        "metrics": {"sampleRate": 0, "host": host, "protocol": protocol},
    }


def rudder_config(sender: Sender, write_key: str) -> dict[str, Any]:
    """The source configuration of the RudderStack SDKs: enabled, without destinations, reporting nothing."""
    source = sender.source
    created = source.created_at.isoformat()
    off = {"enabled": False}
    return {
        "isHosted": True,
        "source": {
            "id": f"source-{source.pk}",
            "name": source.name,
            "writeKey": write_key,
            "enabled": True,
            "workspaceId": "workspace",
            "sourceDefinitionId": "web",
            "config": {"statsCollection": {"errors": off, "metrics": off}},
            "destinations": [],
            "connections": [],
            "dataplanes": {},
            "liveEventsConfig": {"eventUpload": False, "eventUploadTS": 0},
            "transient": False,
            "deleted": False,
            "secretVersion": None,
            "createdAt": created,
            "updatedAt": created,
        },
        "consentManagementMetadata": {"providers": []},
    }
