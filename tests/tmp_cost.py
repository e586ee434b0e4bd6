import os
import time

import pytest
from django.db import connection

from cdp import looks
from tests.profile_factory import make_profile

pytestmark = pytest.mark.django_db(transaction=True)
TICK = os.sysconf("SC_CLK_TCK")


def backend(pid):
    f = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(f[11]) + int(f[12])) / TICK


def test_cost(as_user, sam, monkeypatch):
    for n in range(120):
        make_profile(first_name=f"Ann{n}", email=f"ann{n}@example.com", tags=["vip"], city="Oslo")
    client = as_user(sam)
    real = looks.record_look

    def off(*a, **k):
        pass

    for url in ("/admin/profiles/profile/", "/admin/profiles/profile/?q=ann5"):
        for _ in range(20):
            client.get(url)
        with connection.cursor() as c:
            c.execute("SELECT pg_backend_pid()")
            pid = c.fetchone()[0]
        sums = {"off": [0.0, 0.0], "on": [0.0, 0.0]}
        for round_ in range(12):
            for name, fn in (("off", off), ("on", real)):
                looks.record_look = fn
                t, b = time.process_time(), backend(pid)
                for _ in range(15):
                    client.get(url)
                sums[name][0] += time.process_time() - t
                sums[name][1] += backend(pid) - b
        n = 12 * 15
        with open("/tmp/looks_cost.txt", "a") as out:
            for name, (p, b) in sums.items():
                print(url, name, f"web {p / n * 1000:.2f} ms, postgres {b / n * 1000:.2f} ms", file=out)
    looks.record_look = real
