"""The snippet in a Django site: a template tag and a middleware. Copy this folder into the site's project.

It needs Django and nothing of the customer data platform. The site's settings:

- ``CDP_URL``: where the platform answers, like ``https://cdp.example.com``
- ``CDP_WRITE_KEY``: a web key of the site's source
- ``CDP_HASH_SECRET``: the source's secret for signing user ids; empty to leave them unsigned
- ``CDP_CONSENT_REQUIRED``: True when nothing may be kept before the visitor agreed (default False)
- ``CDP_HONOR_GPC``: True to treat Global Privacy Control and Do Not Track as consent required (default False)
- ``CDP_COOKIE_DOMAIN``: like ``.example.com``, for one visitor on all hosts of a site; empty for this host alone
"""
