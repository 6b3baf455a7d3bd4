"""The processes that can be generated, as settings of Pythia 8."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_BEAMS = ("Beams:eCM = 13000.", "Print:quiet = on", "Next:numberShowEvent = 0")
_WPRIME = (
    "NewGaugeBoson:ffbar2Wprime = on",
    "Wprime:coup2WZ = 1.",
    "34:onMode = off",
    "34:onIfAll = 24 23",
    "24:onMode = off",
    "24:onIfAny = 1 2 3 4 5",
    "23:onMode = off",
    "23:onIfAny = 11 12 13 14 16",
)


@dataclass(frozen=True)
class Process:
    """A mixture of slices with the same number of events each; their weights say how likely each of them is."""

    name: str
    text: str
    """What it is, in one line."""
    slices: tuple[tuple[str, ...], ...]
    """Settings of Pythia for each slice, as its ``readString`` takes them."""


PROCESSES: Mapping[str, Process] = {
    "wz": Process(
        "wz",
        "W' -> W Z with W -> qq' and Z -> ee, mumu or neutrinos; seven W' masses, so that W pT is about flat to 500 GeV",
        tuple((*_BEAMS, *_WPRIME, f"34:m0 = {mass}.") for mass in range(500, 1101, 100)),
    ),
    "qcd": Process(
        "qcd",
        "two jets by QCD, generated about flat in the parton's pT from 170 to 600 GeV by weights that fall with it",
        (
            (
                *_BEAMS,
                "HardQCD:all = on",
                "PhaseSpace:pTHatMin = 170.",
                "PhaseSpace:pTHatMax = 600.",
                "PhaseSpace:bias2Selection = on",
                "PhaseSpace:bias2SelectionPow = 5.5",
                "PhaseSpace:bias2SelectionRef = 170.",
            ),
        ),
    ),
}


def process_named(name: str) -> Process:
    """The process of this name; ValueError with the names there are."""
    if name not in PROCESSES:
        known = "; ".join(f"{process.name} ({process.text})" for process in PROCESSES.values())
        raise ValueError(f"no process is named {name!r}; there are {known}")
    return PROCESSES[name]
