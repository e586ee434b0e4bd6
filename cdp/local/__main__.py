"""The command line: `python -m cdp.local` runs the product.

`python -m cdp.local exec [--durable] -- command …` runs a command against throw-away servers (where
DATABASE_URL and CELERY_BROKER_URL name none) and ends with its code; `--durable` tunes them as `make run`
does, for figures that mean something.
"""

import os
import signal
import subprocess
import sys

from cdp.local import run
from cdp.local.paths import LocalError
from cdp.local.servers import throwaway_servers

USAGE = "Usage: python -m cdp.local [exec [--durable] -- command …]"


def execute(command: list[str], *, durable: bool) -> int:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the servers on the way out, too
    with throwaway_servers(durable=durable) as environment:
        process = subprocess.Popen(command, env={**os.environ, **environment})
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:  # from a terminal the command got it as well, and twice does no harm
                process.send_signal(signal.SIGINT)


def main(arguments: list[str]) -> int:
    if not arguments:
        return run.main()
    if "--" not in arguments or arguments[0] != "exec":
        print(USAGE, file=sys.stderr)
        return 2
    split = arguments.index("--")
    options, command = arguments[1:split], arguments[split + 1 :]
    if not command or set(options) - {"--durable"}:
        print(USAGE, file=sys.stderr)
        return 2
    try:
        return execute(command, durable="--durable" in options)
    except LocalError as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
