"""Small ROOT files and plans over them, whose numbers can be worked out by hand."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot

from dask_augment import Augmenter, Learned, Learner, Measure, Output
from dask_augment.contract.draw import Draw
from dask_augment.plans.plan import Plan

STEPS: tuple[Any, ...] = ({"define": {"HT": "sum(Jet.pt)"}},)


def columns(first: int, rows: int) -> dict[str, Any]:
    """Events ``first`` to ``first + rows`` with 0 to 3 jets of pt 10 x event + number, and weights 1, 2, -1, 1, 2, ..."""
    entries = np.arange(first, first + rows)
    counts = entries % 4
    pt = np.repeat(10.0 * entries, counts) + np.arange(counts.sum()) % 3
    jets = {"pt": pt.astype(np.float32), "phi": np.linspace(-3, 3, len(pt), dtype=np.float32)}
    return {
        "run": np.ones(rows, np.uint32),
        "luminosityBlock": np.full(rows, 7, np.uint32),
        "event": entries.astype(np.uint64),
        "genWeight": np.array([1.0, 2.0, -1.0], np.float32)[entries % 3],
        "MET_pt": (entries % 5 + 0.5).astype(np.float32),
        "MET_phi": np.linspace(-3, 3, rows, dtype=np.float32),
        "Jet": ak.zip({name: ak.unflatten(values, counts) for name, values in jets.items()}),
    }


def write(
    path: Path, first: int = 0, rows: int = 12, *, without: tuple[str, ...] = (), runs: Mapping[str, float] | None = None,
    more: Mapping[str, Any] | None = None, tree: str = "Events", baskets: int = 1,
) -> str:  # fmt: skip
    """A ROOT file of these events; ``runs`` are columns of its Runs tree. Returns its path."""
    values = {name: column for name, column in columns(first, rows).items() if name not in without} | dict(more or {})
    with uproot.recreate(path) as file:
        kinds = {
            name: np.dtype((column.dtype, column.shape[1:])) if isinstance(column, np.ndarray) else column.type
            for name, column in values.items()
        }
        file.mktree(tree, kinds)
        for part in range(baskets if rows else 0):
            file[tree].extend(
                {name: column[rows * part // baskets : rows * (part + 1) // baskets] for name, column in values.items()}
            )
        if runs is not None:
            file.mktree("Runs", dict.fromkeys(runs, np.float64))
            file["Runs"].extend({name: np.array([value]) for name, value in runs.items()})
    return str(path)


def plan(*files: str, steps: Any = STEPS, output: Any = None, **options: Any) -> Plan:
    """A plan over one data set, or over ``inputs`` if they are given."""
    inputs = options.pop("inputs", None) or {"fileset": {"toy": {"files": list(files)}}}
    values = {"inputs": inputs, "seed": 7, "steps": list(steps), "output": output or {}} | options
    return Plan.from_dict(values)


def read(result: Any) -> ak.Array:
    """The rows of a published data set, in the order of their ids and copies."""
    rows = ak.concatenate([ak.from_parquet(str(result.path / file.path)) for file in result.manifest.files])
    copies = rows.augment_copy if "augment_copy" in rows.fields else np.zeros(len(rows))
    return rows[np.lexsort((np.asarray(copies), np.asarray(rows.event)))]


SCALE = 2**10


@dataclass(frozen=True, kw_only=True, eq=False)
class Total(Measure[int]):
    """The sum of missing momenta in fixed point."""

    keyed = True

    def uses(self) -> frozenset[str]:
        return frozenset({"MET.pt"})

    def measure(self, events: ak.Array, draw: Draw | None) -> int:
        return int(np.rint(np.asarray(events.MET.pt) * SCALE).astype(np.int64).sum())


@dataclass(frozen=True, kw_only=True, eq=False)
class Excess(Learner):
    """Missing momentum less the sum of all."""

    def uses(self) -> frozenset[str]:
        return frozenset({"MET.pt"})

    def produces(self) -> Mapping[str, str | None]:
        return {"excess": "float64"}

    def learning(self) -> Generator[Measure[Any], Any, Learned]:
        total = yield from Total().ask()
        return Learned({"sum": np.float64(total / SCALE)})

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        assert self.learned is not None
        return Output({"excess": np.asarray(events.MET.pt).astype(np.float64) - self.learned["sum"]})


@dataclass(frozen=True, kw_only=True, eq=False)
class Shift(Augmenter):
    """A random number for each row."""

    keyed = True

    def uses(self) -> frozenset[str]:
        return frozenset()

    def produces(self) -> Mapping[str, str | None]:
        return {"shift": "float64"}

    def apply(self, events: ak.Array, draw: Draw | None) -> Output:
        assert draw is not None
        return Output({"shift": draw.uniform(0)})
