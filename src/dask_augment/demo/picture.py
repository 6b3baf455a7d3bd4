"""The picture of the main job: effects of zooming, balancing and the trained detector, from the data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import awkward as ak
import numpy as np
import pyarrow.dataset as ds
from numpy.typing import NDArray

from dask_augment.demo.accounts import Stratum
from dask_augment.events.own_columns import DATASET, KIND

if TYPE_CHECKING:
    from matplotlib.axes import Axes

W_MASS, RADIUS = 80.3692, 0.8
_COLUMNS = (
    DATASET, KIND, "FatJet_pt", "FatJet_dr12", "FatJet_dr12_zoomed", "FatJet_n_subjets",
    "FatJet_trimmed_mass", "GenJet_pt", "Jet_pt", "Jet_genJetIdx", "FastJet_pt", "FastJet_genJetIdx",
)  # fmt: skip


def draw(path: Path, strata: Sequence[Stratum], target: Path) -> Path:
    """Draw the three panels of a published data set into a file; returns its path."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("the picture is drawn with matplotlib: pip install 'dask-augment[demo]'") from None
    rows = _read(path)
    figure = Figure(figsize=(16.5, 4.8), layout="constrained")
    zoom, balance, response = figure.subplots(1, 3)
    _zoomed(zoom, rows[rows["dataset"] == "wz"])
    _balanced(balance, strata)
    _residuals(response, rows)
    figure.savefig(target, dpi=120)
    return target


def _read(path: Path) -> ak.Array:
    """The columns that are drawn, of original rows: copies would count their jets twice."""
    table = ds.dataset(path, partitioning="hive").to_table(columns=list(_COLUMNS), filter=ds.field(KIND) == 0)
    return ak.Array({name: ak.drop_none(ak.from_arrow(table[name])) for name in table.column_names})


def _zoomed(axes: Axes, rows: ak.Array) -> None:
    """Distance of the two hardest subjets of W jets against pT."""
    jets = {name: ak.flatten(rows[f"FatJet_{name}"]).to_numpy() for name in ("pt", "dr12", "dr12_zoomed", "n_subjets")}
    mass = ak.flatten(rows["FatJet_trimmed_mass"]).to_numpy()
    chosen = (jets["n_subjets"] > 1) & (mass > 65.0) & (mass < 95.0)
    edges = np.array([200.0, 240.0, 280.0, 320.0, 360.0, 400.0, 450.0, 500.0, 550.0])
    for name, label, colour in (("dr12", "before zooming", "tab:blue"), ("dr12_zoomed", "after zooming", "tab:orange")):
        centres, low, middle, high = _profile(jets["pt"][chosen], jets[name][chosen], edges)
        axes.fill_between(centres, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.plot(centres, middle, "o-", color=colour, label=label)
    axes.plot(edges, 2.0 * W_MASS / edges, "--", color="tab:blue", linewidth=1, label="$2m_W / p_T$")
    axes.axhline(RADIUS, color="tab:orange", linestyle="--", linewidth=1, label=f"jet radius R = {RADIUS}")
    axes.set(
        xlabel="large jet $p_T$ [GeV]",
        ylabel=r"subjet separation $\Delta R_{12}$",
        ylim=(0.0, 1.5),
        title="Zooming undoes the boost of W bosons",
    )
    axes.legend(title="median and central 68 %", loc="upper left", ncols=2)


def _profile(x: NDArray[Any], y: NDArray[Any], edges: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Centre, 16 %, 50 % and 84 % quantiles of y in the bins of x that have some entries."""
    which = np.digitize(x, edges) - 1
    found = []
    for i in range(len(edges) - 1):
        mine = y[which == i]
        if len(mine) >= 10:
            found.append(((edges[i] + edges[i + 1]) / 2.0, *np.quantile(mine, [0.16, 0.5, 0.84])))
    return tuple(np.array(found).reshape(-1, 4).T)


def _balanced(axes: Axes, strata: Sequence[Stratum]) -> None:
    """Training rows of each stratum before and after."""
    shown = [stratum for stratum in strata if stratum.rows_out]
    place = np.arange(len(shown))
    before, after = ([getattr(stratum, name) for stratum in shown] for name in ("train_in", "train_out"))
    axes.bar(place - 0.2, before, 0.4, label="training events read", color="tab:gray", alpha=0.6)
    axes.bar_label(axes.bar(place + 0.2, after, 0.4, label="rows published", color="tab:green"), fontsize="small")
    axes.set_xticks(place, [stratum.label for stratum in shown], rotation=30, ha="right")
    axes.set(
        xlabel="data set, $p_T$ of the leading large jet [GeV]",
        ylabel="rows for training",
        ylim=(0.0, 1.2 * max(*before, *after)),
        title="Copies and exact quotas balance the strata",
    )
    axes.legend(loc="upper right", ncols=2)


def _residuals(axes: Axes, rows: ak.Array) -> None:
    """Relative residual of measured transverse momentum, of the detector and of the trained model."""
    edges = np.linspace(-0.35, 0.35, 48)
    centres = (edges[1:] + edges[:-1]) / 2.0
    for low, high, colour in ((20.0, 60.0, "tab:blue"), (150.0, 600.0, "tab:orange")):
        text = f"{low:.0f}-{high:.0f} GeV"
        for name in ("Jet", "FastJet"):
            generated, residual = _residual(rows, name)
            mine = residual[(generated > low) & (generated < high)]
            counts, scale = np.histogram(mine, edges)[0], len(mine) * (edges[1] - edges[0])
            if name == "Jet":
                errors = np.sqrt(counts) / scale
                axes.errorbar(centres, counts / scale, errors, fmt=".", color=colour, label=f"detector, {text}")
            else:
                axes.stairs(counts / scale, edges, color=colour, linewidth=1.5, label=f"fast_sim, {text}")
    axes.set(
        xlabel=r"jet $(p_T^{\,\mathrm{reco}} - p_T^{\,\mathrm{gen}})\,/\,p_T^{\,\mathrm{gen}}$",
        ylabel="jets (normalised)",
        title="Trained model against the detector",
    )
    axes.legend(title=r"$p_T^{\,\mathrm{gen}}$", loc="upper right", fontsize="small")


def _residual(rows: ak.Array, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Generated pT, and measured less generated over generated, of the jets that have a generated one."""
    index, pt = rows[f"{name}_genJetIdx"], rows[f"{name}_pt"]
    found = index >= 0
    generated = ak.flatten(rows["GenJet_pt"][index[found]]).to_numpy()
    return generated, ak.flatten(pt[found]).to_numpy() / generated - 1.0
