"""One plan over real events, what it published, and those events for everything that must give the same."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import awkward as ak
import pyarrow as pa
import pyarrow.parquet as pq
import uproot

import dask_augment as da
import whole_toys
from dask_augment.dataset.hashing import LogicalHash, logical_hash
from dask_augment.dataset.schema import to_table
from dask_augment.dataset.verify import verify
from dask_augment.runs.run import published_plan, run

STEPS: tuple[Any, ...] = (
    da.Split(train=0.7),
    da.Select("nJet >= 2"),
    da.Define(HT="sum(Jet.pt)"),
    da.LBN(inputs=["Jet[:3]", "Muon[:1]", "MET"], weights={"random": 3, "seed": 1}, features=("E", "m", "pair_cos")),
    ("fewer", da.Undersample(strata=[da.Bins("HT", [0, 200])], allocation="proportional", size=120)),
    da.Repeat(n=2),
    ("more", da.Oversample(strata=["dataset"])),
    da.PhiRotate(originals=True, columns=("Jet.phi", "GenJet.phi", "Electron.phi", "Muon.phi", "MET.phi")),
    da.FastSim(model="shipped:bundles/jets", source="GenJet", target="FastJet"),
)
"""Over real events."""
MAIN_JOB: tuple[Any, ...] = (
    da.Define(lead_pt="FatJet.pt[0]"),
    da.Select("nFatJet >= 1"),
    da.Split(train=0.7),
    da.JetZoom(jets="FatJet"),
    da.LBN(inputs=["FatJet[:1]", "Jet[:3]", "MET"], weights={"random": 3, "seed": 1}, features=("E", "m", "pair_cos")),
    da.Repeat(n=1),
    da.PhiRotate(columns=("GenJet.phi", "Jet.phi", "FatJet.phi", "MET.phi")),
    da.FastSim(source="GenJet", target="FastJet"),
    ("fewer", da.Undersample(strata=["dataset", da.Bins("lead_pt", [0, 300])], sampling_strategy="majority")),
)
"""Over generated events with the constituents of jets."""
COLLECTIONS = ("Jet", "FatJet", "FatJetPFCand", "PFCand", "GenJet", "Electron", "Muon", "GenPart", "MET")
FIELDS = {
    *("pt", "eta", "phi", "mass", "charge", "jetId", "jetIdx", "pdgId", "isPFcand", "significance"),
    *("pfCandIdx", "partonFlavour"),
}


@dataclass(frozen=True, eq=False)
class Truth:
    """What one run published: all else must give the same."""

    files: dict[str, str]
    plan: Any
    steps: tuple[Any, ...]
    """With what the learners learned."""
    schema: pa.Schema
    hash: LogicalHash
    table: pa.Table

    @cache  # noqa: B019  lives as long as the module
    def events(self, name: str) -> ak.Array:
        """All columns of one file, flat, that the plan may read."""
        return ak.without_parameters(self.weighted(read(self.files[name])))

    @staticmethod
    def weighted(events: Any) -> Any:
        """Events with the column that the plan makes of the generator weight."""
        return ak.with_field(events, ak.values_astype(events["genWeight"], "float64"), "weight")

    def together(self) -> ak.Array:
        """Both data sets as one array with a column that says which."""
        named = [ak.with_field(self.events(name), [name] * len(self.events(name)), "dataset") for name in self.files]
        return ak.concatenate(named)

    def of(self, results: dict[str, Any]) -> LogicalHash:
        """The hash of what came out for each data set."""
        return sum(
            (logical_hash(to_table(result, self.schema), {"dataset": name}) for name, result in results.items()),
            LogicalHash(),
        )


def common(files: dict[str, str]) -> list[str]:
    """Branches that both files have, of the collections that are kept."""
    names = [set(uproot.open(path)["Events"].keys()) for path in files.values()]
    return sorted(name for name in set.intersection(*names) if _is_kept(name))


def _is_kept(name: str) -> bool:
    head, _, field = name.partition("_")
    return head in COLLECTIONS and field in FIELDS


def read(path: str) -> ak.Array:
    with uproot.open(path) as file:
        names = ["run", "luminosityBlock", "event", "genWeight", *filter(_is_kept, file["Events"].keys())]
        return file["Events"].arrays(names)


def published(files: dict[str, str], steps: tuple[Any, ...], folder: Path) -> Truth:
    """Run the plan, quietly, in this process."""
    plan = whole_toys.plan({name: {path: "Events"} for name, path in files.items()}, steps, keep=tuple(common(files)))
    out = folder / "out"
    result = run(plan, out)
    assert verify(out, deep=True).ok
    schema = pq.read_schema(next(out.rglob("*.parquet"))).remove_metadata()
    table = whole_toys.table(out)
    assert logical_hash(table) == result.manifest.logical_hash
    assert result.rows > 240
    assert len(schema) > 30
    return Truth(files, plan, tuple(published_plan(out).steps), schema, result.manifest.logical_hash, table)
