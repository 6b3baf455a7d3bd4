"""How much of the package one trip goes through: modules, functions and calls, counted by a profiler hook.

    python tools/trip.py [--most 15]

Two trips: a plan of six steps, one of them a learner, on one part; and ``augment`` of one step on awkward events. Each is
taken once before it is counted, so that imports and what a process does once do not count. ``--most`` also prints the
functions that are called most.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import awkward as ak
import uproot

import dask_augment as da
from dask_augment.laws import flattened, sample_events

HOME = str(Path(da.__file__).parent)
_INLINE = {"<genexpr>", "<listcomp>", "<setcomp>", "<dictcomp>"}
"""Parts of expressions, which are functions to Python 3.11."""


def counted(trip: Callable[[], Any]) -> Counter[tuple[str, str]]:
    """How often each function of the package is called, by its file and name."""
    calls: Counter[tuple[str, str]] = Counter()

    def look(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(HOME) and code.co_name not in _INLINE:
            calls[code.co_filename[len(HOME) + 1 :], code.co_qualname] += 1

    sys.setprofile(look)
    try:
        trip()
    finally:
        sys.setprofile(None)
    return calls


def plan_of_six(folder: Path) -> Callable[[], Any]:
    """A run of six steps on one part, each time into a new folder."""
    events = flattened(sample_events())
    columns = {name: ak.without_parameters(events[name]) for name in events.fields if name != "split"}
    with uproot.recreate(folder / "events.root") as file:
        file.mktree("Events", {name: array.type.content for name, array in columns.items()})
        file["Events"].extend(columns)
    steps = [
        da.Define(ratio="HT / MET.pt"),
        da.Select("nJet >= 1"),
        da.Split(train=0.8),
        da.Undersample(strata=["label"]),
        da.Repeat(n=1),
        da.PhiRotate(columns=["Jet.phi", "MET.phi"]),
    ]
    fileset = {"sample": {"files": {str(folder / "events.root"): "Events"}}}
    plan = da.Plan(inputs={"fileset": fileset, "weight": "weight"}, steps=steps, seed=1)
    number = iter(range(10))
    return lambda: da.run(plan, folder / f"out{next(number)}", quiet=True)


def one_step() -> Callable[[], Any]:
    """One step on awkward events in memory."""
    events, step = sample_events(), da.PhiRotate(columns=["Jet.phi", "MET.phi"], originals=True)
    return lambda: da.augment(events, step, seed=1, dataset="sample")


def main() -> None:
    """Take both trips and print what they went through."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=0, help="print so many of the functions that are called most")
    most = parser.parse_args().most
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        for name, trip in {"run, 6 steps, 1 part": plan_of_six(Path(folder)), "augment, 1 step": one_step()}.items():
            trip()
            calls = counted(trip)
            modules = {file for file, _ in calls}
            print(f"{name}: {len(modules)} modules, {len(calls)} functions, {calls.total():,} calls")
            for (file, function), times in calls.most_common(most):
                print(f"  {times:6,} {file}:{function}")


if __name__ == "__main__":
    main()
