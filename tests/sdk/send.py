"""`python tests/sdk/send.py segment|rudder`: makes the calls of PLAN with a Python SDK, as a program of theirs does."""

import json
import os
import sys
from datetime import datetime
from typing import Any

PLAN = json.loads(os.environ["PLAN"])
# Name of the wire → parameter of the SDKs' methods.
NAMES = {
    "userId": "user_id",
    "anonymousId": "anonymous_id",
    "previousId": "previous_id",
    "groupId": "group_id",
    "messageId": "message_id",
}
failed: list[str] = []


def make_client(name: str) -> Any:
    on_error = lambda error, items: failed.append(str(error))  # noqa: E731
    if name == "segment":
        from segment.analytics.client import Client as Segment

        return Segment(
            PLAN["key"],
            host=PLAN["host"],
            gzip=PLAN["gzip"],
            upload_size=PLAN["batch"],
            upload_interval=0.1,
            on_error=on_error,
        )
    from rudderstack.analytics.client import Client as Rudder

    return Rudder(
        PLAN["key"],
        host=PLAN["host"],
        gzip=PLAN["gzip"],
        upload_size=PLAN["batch"],
        upload_interval=0.1,
        on_error=on_error,
    )


def main() -> None:
    client = make_client(sys.argv[1])
    for call in PLAN["calls"]:
        said = {NAMES.get(name, name): value for name, value in call.items()}
        if "timestamp" in said:
            said["timestamp"] = datetime.fromisoformat(said["timestamp"])
        getattr(client, said.pop("type"))(**said)
    client.shutdown()
    print(f"failed {len(failed)}", *failed)


main()
