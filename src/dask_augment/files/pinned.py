"""Files that are pinned by the sha256 of their contents: nothing of one is looked at before that was compared."""

from __future__ import annotations

import hashlib
from pathlib import Path


class Changed(ValueError):
    """A file that is not what it was pinned as; ``found`` is its sha256 now."""

    def __init__(self, path: Path | str, found: str) -> None:
        super().__init__(str(path), found)
        self.found = found


def contents(path: Path | str, sha256: str = "") -> bytes:
    """The bytes of a file, if they are those that ``sha256`` names (empty: any); OSError where it cannot be read, Changed."""
    found = Path(path).read_bytes()
    digest = hashlib.sha256(found).hexdigest()
    if sha256 and digest != sha256:
        raise Changed(path, digest)
    return found
