"""Make the events that are shipped with the package: ``python tools/make_sample.py``, some minutes on one core.

Needs Pythia 8: pip install --only-binary=:all: "pythia8mc<8.318". With the same versions it gives the same events; only
the times inside the files differ. data/README.md says what is in them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import uproot

from dask_augment.generator.jobs import Job

FOLDER = Path(__file__).parents[1] / "src" / "dask_augment" / "data"
EVENTS = {"wz": 3000, "qcd": 3500}
SEED = 2026
MOST_BYTES = 4_000_000


def main() -> None:
    """Make both files, and refuse what is too large to ship."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder of the files")
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    size = 0
    for process, events in EVENTS.items():
        made = Job(process=process, number=0, events=events, seed=SEED).write(folder, uproot.LZMA(9))
        path = made.path.replace(folder / f"{process}.root")
        size += path.stat().st_size
        print(f"{path}: {events} events, {path.stat().st_size:,} bytes, {made.sumw / made.events:.6g} pb")
    if size > MOST_BYTES:
        raise SystemExit(f"the files have {size:,} bytes together, more than {MOST_BYTES:,}: ask for fewer events")


if __name__ == "__main__":
    main()
