"""Copy-paste help for whatever sends events: our own snippet, public SDKs, curl; with this host and key filled in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.http import HttpRequest

from profiles.models import Source, WriteKey

WEB, SERVER = WriteKey.Kind.WEB, WriteKey.Kind.SERVER


@dataclass(frozen=True, slots=True)
class Guide:
    """One way to send. ``install`` is a shell command, ``code`` what goes into the program, ``notes`` sentences."""

    title: str
    where: str
    install: str
    code: str
    notes: tuple[str, ...] = ()


# Title, where it runs, which key, install, code with {host} and {key}, notes.
_GUIDES: tuple[tuple[str, str, str, str, str, tuple[str, ...]], ...] = (
    (
        "First: sign your userIds",
        "Browser and your server",
        WEB,
        "",
        """# On your server, with the signing secret of this source (Settings)
import hashlib, hmac

user_hash = hmac.new(secret.encode(), user_id.encode(), hashlib.sha256).hexdigest()

<!-- In the page -->
<script async src="{host}/cdp.js" data-key="{key}" data-user-id="C-20417" data-user-hash="…"></script>

// With any other SDK
analytics.identify("C-20417", {{ email: "ann@example.com" }}, {{ context: {{ userHash: "…" }} }});""",
        (
            "Everybody can read a browser key. A call that is not signed only fills what is empty and changes what pages"
            " said before; an address it adds to a known person waits for confirmation.",
            "Once every page signs, turn on “userId must be signed” in the settings.",
        ),
    ),
    (
        "Our snippet, cdp.js",
        "Browser",
        WEB,
        "",
        """<script async src="{host}/cdp.js" data-key="{key}"></script>

<script>
  window.cdp = window.cdp || [];
  cdp.push(["track", "Added to Cart", {{ sku: "SHOE-42", price: 89.0, quantity: 1, cart_id: "c-1007" }}]);
  cdp.push(["identify", "C-20417", {{ email: "ann@example.com" }}]);
</script>

<form data-cdp-form="Newsletter" action="/subscribe" method="post">
  <input type="email" name="mail" data-cdp-field="email" required>
  <button>Subscribe</button>
</form>""",
        (
            "Page views are sent by themselves. Only the marked fields of a form are read, never passwords or card numbers;"
            " an e-mail among them identifies the visitor.",
            'With data-consent="required" nothing is kept or sent before cdp.consent("granted").',
            "Call cdp.reset() when somebody logs out.",
        ),
    ),
    (
        "analytics-next (Segment's analytics.js 2)",
        "Browser",
        WEB,
        "npm install @segment/analytics-next",
        """import {{ AnalyticsBrowser }} from "@segment/analytics-next";

const analytics = AnalyticsBrowser.load({{
  writeKey: "{key}",
  cdnURL: "{host}",
}});

analytics.page();
analytics.track("Added to Cart", {{ sku: "SHOE-42", price: 89.0, quantity: 1, cart_id: "c-1007" }});
analytics.identify("C-20417", {{ email: "ann@example.com" }});""",
        (
            "It loads its settings from here, which send every call back here.",
            "Call analytics.reset() on logout.",
        ),
    ),
    (
        "Segment's script tag",
        "Browser",
        WEB,
        "",
        """<!-- Your page's own Segment snippet, with one address in it changed: -->
t.src = "{host}/analytics.js/v1/" + key + "/analytics.min.js";
…
analytics.load("{key}");
analytics.page();""",
        (
            "What loads from there is this product's own small script; it makes the calls that waited, in their order.",
            "Calls, callbacks, ready(), user() and setAnonymousId() work as before. Call analytics.reset() on logout.",
        ),
    ),
    (
        "Customer.io's JavaScript client",
        "Browser",
        WEB,
        "npm install @customerio/cdp-analytics-browser",
        """import {{ AnalyticsBrowser }} from "@customerio/cdp-analytics-browser";

const cioanalytics = AnalyticsBrowser.load({{
  writeKey: "{key}",
  cdnURL: "{host}/customerio",
}});

cioanalytics.page();
cioanalytics.identify("C-20417", {{ email: "ann@example.com" }});""",
        ("It loads its settings from here, which send every call back here.",),
    ),
    (
        "Jitsu",
        "Browser",
        WEB,
        "npm install @jitsu/js",
        """import {{ jitsuAnalytics }} from "@jitsu/js";

const analytics = jitsuAnalytics({{
  host: "{host}",
  writeKey: "{key}:any",
}});

analytics.page();
analytics.identify("C-20417", {{ email: "ann@example.com" }});""",
        ("Where a client wants a key of the form id:secret, what stands behind the colon does not matter.",),
    ),
    (
        "analytics-node (Segment)",
        "Node.js",
        SERVER,
        "npm install @segment/analytics-node",
        """import {{ Analytics }} from "@segment/analytics-node";

const analytics = new Analytics({{
  writeKey: "{key}",
  host: "{host}",
}});

analytics.identify({{ userId: "C-20417", traits: {{ email: "ann@example.com" }} }});
analytics.track({{ userId: "C-20417", event: "Order Completed", properties: {{ order_id: "O-1", total: 89.0 }} }});
await analytics.closeAndFlush();""",
        (),
    ),
    (
        "segment-analytics-python",
        "Python",
        SERVER,
        "pip install segment-analytics-python",
        """import segment.analytics as analytics

analytics.write_key = "{key}"
analytics.host = "{host}"

analytics.identify("C-20417", {{"email": "ann@example.com"}})
analytics.track("C-20417", "Order Completed", {{"order_id": "O-1", "total": 89.0}})
analytics.flush()""",
        (),
    ),
    (
        "RudderStack for browsers",
        "Browser",
        WEB,
        "npm install @rudderstack/analytics-js",
        """import {{ RudderAnalytics }} from "@rudderstack/analytics-js/bundled";

const analytics = new RudderAnalytics();
analytics.load("{key}", "{host}", {{ configUrl: "{host}" }});

analytics.page();
analytics.track("Added to Cart", {{ sku: "SHOE-42", price: 89.0, quantity: 1, cart_id: "c-1007" }});
analytics.identify("C-20417", {{ email: "ann@example.com" }});""",
        (
            "Import from /bundled: otherwise the SDK loads its plugins from its maker's servers.",
            "Call analytics.reset(true) on logout: true creates a new anonymous id as well.",
        ),
    ),
    (
        "RudderStack for Node.js",
        "Node.js",
        SERVER,
        "npm install @rudderstack/rudder-sdk-node",
        """import RudderAnalytics from "@rudderstack/rudder-sdk-node";

const analytics = new RudderAnalytics("{key}", {{ dataPlaneUrl: "{host}" }});

analytics.identify({{ userId: "C-20417", traits: {{ email: "ann@example.com" }} }});
analytics.track({{ userId: "C-20417", event: "Order Completed", properties: {{ order_id: "O-1", total: 89.0 }} }});
analytics.flush();""",
        (),
    ),
    (
        "RudderStack for Python",
        "Python",
        SERVER,
        "pip install rudder-sdk-python",
        """import rudderstack.analytics as analytics

analytics.write_key = "{key}"
analytics.dataPlaneUrl = "{host}"

analytics.identify("C-20417", {{"email": "ann@example.com"}})
analytics.track("C-20417", "Order Completed", {{"order_id": "O-1", "total": 89.0}})
analytics.flush()""",
        (),
    ),
    (
        "curl, or any program that can send HTTP requests",
        "Anywhere",
        SERVER,
        "",
        """curl -u "{key}:" -H "Content-Type: application/json" "{host}/v1/batch?receipts=true" -d '{{
  "batch": [
    {{"type": "identify", "userId": "C-20417", "traits": {{"email": "ann@example.com"}}}},
    {{"type": "track", "userId": "C-20417", "event": "Order Completed", "messageId": "order-O-1",
     "properties": {{"order_id": "O-1", "total": 89.0}}}}
  ]
}}'""",
        (
            "The answer shows what became of each item. With a messageId of your own a call can be repeated safely.",
            "With X-Strict-Mode: 1 one item that cannot be processed stops the whole batch.",
        ),
    ),
    (
        "Django",
        "Python",
        WEB,
        "pip install segment-analytics-python",
        """# settings.py
INSTALLED_APPS += ["cdp_site"]
MIDDLEWARE += ["cdp_site.middleware.AnonymousId"]
CDP_URL = "{host}"
CDP_WRITE_KEY = "{key}"
CDP_SERVER_KEY = "{server_key}"

# apps.py of your project: once, in ready()
import segment.analytics as analytics
analytics.host, analytics.write_key = settings.CDP_URL, settings.CDP_SERVER_KEY

# views.py: after the order is saved
analytics.track(
    user_id=str(order.customer_id),
    event="Order Completed",
    properties={{"order_id": order.number, "total": float(order.total), "cart_id": order.cart_id}},
    message_id=f"order-{{order.number}}",
)

# base.html, with the snippet's folder cdp_site/ copied into your project
{{% load cdp_site %}}{{% cdp_snippet user_id=request.user.pk %}}""",
        (
            "The server sends orders and misses none; the snippet sends visits. Both end up with the same person.",
        ),
    ),
)


def guides(request: HttpRequest, source: Source, keys: Mapping[str, WriteKey]) -> list[Guide]:
    """Every guide for this source, those that suit its keys first. ``keys``: one working key of each kind."""
    host = f"{request.scheme}://{request.get_host()}"
    wanted = set(keys) or {WEB if source.channel == Source.Channel.WEB else SERVER}
    server_key = _key_text(keys, SERVER)
    ordered = sorted(_GUIDES, key=lambda guide: guide[2] not in wanted)
    return [
        Guide(
            title,
            where,
            install,
            code.format(host=host, key=_key_text(keys, kind), server_key=server_key),
            notes,
        )
        for title, where, kind, install, code, notes in ordered
    ]


def _key_text(keys: Mapping[str, WriteKey], kind: str) -> str:
    """How the key begins: the rest is known to whoever made it."""
    key = keys.get(kind)
    return f"{key.prefix}…" if key else "YOUR_WEB_KEY" if kind == WEB else "YOUR_SERVER_KEY"
