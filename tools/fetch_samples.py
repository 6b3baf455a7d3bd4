"""Fetch the small NanoAOD files that the tests read: ``python tools/fetch_samples.py FOLDER``.

They are simulated events from the test samples of coffea (BSD-3-Clause), taken from its source distribution on the
package index. A file that is already in the folder with the right contents is kept. Nothing but pip is needed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

RELEASE = "coffea-2026.9.0"
MEMBERS = "tests/samples"
SHA256 = {
    "nano_dy.root": "159b17b34b4d13ea4960d36fb9b01f2a505cc1a5a8de0fb3cfa185154543c81c",
    "nano_tt_v12.root": "bc9afdac1e5e1bf820f79e4f8d4942c893ed2accfcb2e49bb63b69727b59af3b",
    "pfnano.root": "504f10f40146005184a1365dcf8b6c8235983597567fab04d1b4b6cc25603939",
}


def is_good(path: Path, sha256: str) -> bool:
    """Whether the file is there and has these contents."""
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def download(folder: Path) -> Path:
    """Download the source distribution into the folder.

    ``pip download`` also asks the project for its metadata, which takes its build tools; only coffea itself is named
    as source, so that those come as wheels.
    """
    name, version = RELEASE.split("-")
    pip = [sys.executable, "-m", "pip", "--quiet", "--quiet", "--disable-pip-version-check"]
    what = ["--no-deps", "--no-binary", name, "--dest", str(folder), f"{name}=={version}"]
    subprocess.run([*pip, "download", *what], check=True)
    return folder / f"{RELEASE}.tar.gz"


def extract(archive: Path, names: list[str], folder: Path) -> None:
    """Copy the named samples out of the archive, each under its bare name and only if its sha256 is the known one."""
    with tarfile.open(archive) as tar:
        for name in names:
            member = tar.extractfile(f"{RELEASE}/{MEMBERS}/{name}")
            if member is None:
                sys.exit(f"{archive.name}: {MEMBERS}/{name} is not a regular file")
            contents = member.read()
            found = hashlib.sha256(contents).hexdigest()
            if found != SHA256[name]:
                sys.exit(f"{archive.name}: {MEMBERS}/{name} has sha256 {found}, expected {SHA256[name]}")
            # A reader never meets half a file: two runs may fetch at the same time.
            unfinished = folder / f".{name}.{os.getpid()}"
            unfinished.write_bytes(contents)
            unfinished.replace(folder / name)


def main() -> None:
    """Fill the folder named on the command line."""
    parser = argparse.ArgumentParser(description="Fetch the NanoAOD files that the tests read.")
    parser.add_argument("folder", type=Path, help="where to put them")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    missing = [name for name, sha256 in SHA256.items() if not is_good(folder / name, sha256)]
    if not missing:
        return
    with tempfile.TemporaryDirectory() as scratch:
        try:
            archive = download(Path(scratch))
        except subprocess.CalledProcessError:
            sys.exit(
                f"{RELEASE} could not be downloaded from the package index. Set DASK_AUGMENT_DATA to a folder with "
                f"{', '.join(SHA256)}, or to an empty one to skip the tests that read them."
            )
        extract(archive, missing, folder)


if __name__ == "__main__":
    main()
