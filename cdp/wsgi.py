import os

from django.core.wsgi import get_wsgi_application

from cdp.drain_body import ReadToTheEnd

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cdp.settings")

application = ReadToTheEnd(get_wsgi_application())
