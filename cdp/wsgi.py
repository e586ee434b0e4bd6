"""WSGI: what gunicorn serves. Not without a secret key of its own."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cdp.settings")

application = get_wsgi_application()

from cdp.checks import refuse_to_start  # noqa: E402  (settings must be there)

refuse_to_start()
