"""cdp.js → cdp.min.js; `make snippet` runs this in an environment with the minifier.

The minifier is needed by whoever changes the snippet, by nobody else, and is no dependency of the project.
built.json keeps the digests of both files, so that a test notices a twin that is out of date without it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SOURCE, MINIFIED, BUILT = FOLDER / "cdp.js", FOLDER / "cdp.min.js", FOLDER / "built.json"
MAX_BYTES = 3072


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def gzipped_size(data: bytes) -> int:
    """Bytes on the wire, as the view sends them."""
    return len(gzip.compress(data, compresslevel=9, mtime=0))


def build() -> int:
    """Writes the twin and built.json; returns its gzipped size."""
    import minify  # type: ignore[import-not-found]

    # Else it writes syntax newer than the browsers the snippet promises.
    minify.config({"js-version": 2018})
    text = minify.string("application/javascript", SOURCE.read_text())
    MINIFIED.write_text(text + "\n")
    sums = {path.name: digest(path) for path in (SOURCE, MINIFIED)}
    BUILT.write_text(json.dumps({"sha256": sums}, indent=2) + "\n")
    return gzipped_size(MINIFIED.read_bytes())


if __name__ == "__main__":
    size = build()
    sys.stdout.write(f"{MINIFIED.name}: {size:,} of {MAX_BYTES:,} bytes gzipped\n")
    sys.exit(size > MAX_BYTES)
