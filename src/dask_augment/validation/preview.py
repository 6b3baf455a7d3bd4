"""Pictures of the effect of a step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from dask_augment.contract.account import Account
from dask_augment.contract.augmenter import Augmenter
from dask_augment.contract.ids import IDS
from dask_augment.contract.setting import Setting
from dask_augment.events import columns as cols
from dask_augment.events.own_columns import WEIGHT
from dask_augment.frames.stage import Stage
from dask_augment.frames.steps import labelled
from dask_augment.options import columns_of, named_options
from dask_augment.plans.registry import name_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_PANELS = 12


@named_options
def preview(
    events: ak.Array,
    step: Augmenter | tuple[str, Augmenter],
    column: str | Sequence[str] | None = None,
    *,
    seed: int = 0,
    dataset: str = "preview",
    ids: Sequence[str] = IDS,
    weights: Sequence[str] = (),
    split: str | None = None,
    bins: int = 50,
) -> Figure:
    """Run one step on some events and draw its columns before and after: a look at a method before it is used.

    Parameters
    ----------
    events
        awkward or NanoEvents arrays, some thousand events; lazy ones are computed by the caller.
    step
        The augmenter; one that learns must have learned before.
    column
        The column or columns to draw. Unless given, those that the step produces, or for one that produces none, those
        that it uses; at most 12.
    weights
        Physics weights, as in :func:`~dask_augment.augment`: with them, yields are drawn, sums of the first one, which
        a step that makes or drops rows leaves as they are but for chance. Without, numbers of entries are, which it changes.
    seed, dataset, ids, split
        As in :func:`~dask_augment.augment`, but for ``split``: the step acts on all events unless it is given.
    bins
        Number of bins, over the range of the values before and after together.

    Returns
    -------
    matplotlib.figure.Figure
        One panel for each column, with the numbers, or yields, of all its entries in bins (of objects, for a column of a
        collection); for a step that changes rows, also one with rows in, dropped, made and out. Values
        that are NaN or infinite are left out, and counted in the legend.
    """
    figure = _figure()
    if not isinstance(events, ak.Array):
        raise TypeError(
            f"preview takes awkward events in memory, got {type(events).__name__}; compute some of them first"
        )
    label, augmenter = step if isinstance(step, tuple) else (name_of(step), step)
    weights = columns_of("weights", weights)
    own = [name for name in dict.fromkeys((WEIGHT, *augmenter.rescales())) if cols.has(events, name)]
    # Numbers of entries are no yields, so that rows may be made whatever the weights are.
    stage = Stage(labelled([step]), Setting(seed, dataset, tuple(ids), tuple(weights) or own or "none", split))
    by = weights[0] if weights else None
    account = Account()
    after = stage.run(events, account)
    names = _drawn(augmenter, column)
    panels = len(names) + (not augmenter.keeps_rows)
    if panels == 0:
        raise ValueError(f"step {label!r} has no columns to draw; name some with column=")
    across = min(panels, 3)
    down = -(-panels // across)
    figure.set_size_inches(4.5 * across, 3.4 * down)
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for panel, name in zip(axes, names, strict=False):
        _histograms(panel, name, {"before": _values(events, name, by), "after": _values(after, name, by)}, bins, by)
    if not augmenter.keeps_rows:
        _rows(axes[len(names)], account)
    for panel in axes[panels:]:
        panel.set_visible(False)
    figure.suptitle(label)
    return figure


def _figure() -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("preview draws with matplotlib: pip install 'dask-augment[demo]'") from None
    return Figure(layout="constrained")


def _drawn(augmenter: Augmenter, column: str | Sequence[str] | None) -> list[str]:
    if column is None:
        return sorted(augmenter.produces() or augmenter.uses())[:_MOST_PANELS]
    return [column] if isinstance(column, str) else list(column)


class _Filled(NamedTuple):
    """What a histogram is filled with: numbers, and what each weighs."""

    values: NDArray[np.float64]
    weights: NDArray[np.float64]


def _values(events: ak.Array, name: str, by: str | None) -> _Filled | None:
    """All numbers of a column, flat, with the weights of their events; None where there is no such column."""
    if not cols.has(events, name):
        return None
    weight = np.ones(len(events)) if by is None else ak.Array(cols.plain(cols.column(events, by)))
    # What is missing is missing from both.
    both = ak.broadcast_arrays(ak.Array(cols.plain(cols.column(events, name))), weight)
    values, weights = (ak.drop_none(ak.flatten(part, axis=None)) for part in both)
    try:
        return _Filled(np.asarray(values).astype(np.float64), np.asarray(weights, dtype=np.float64))
    except (TypeError, ValueError):
        raise TypeError(f"column {name!r} holds no numbers, it has type {values.type}; preview draws numbers") from None


def _histograms(axes: Axes, name: str, filled: Mapping[str, _Filled | None], bins: int, by: str | None) -> None:
    drawn = {label: found for label, found in filled.items() if found is not None}
    if not drawn:
        raise cols.MissingColumn(f"no column {name!r}, neither before the step nor after it")
    edges = _edges([found.values for found in drawn.values()], bins)
    for label, (values, weights) in drawn.items():
        finite = np.isfinite(values)
        number = int(np.count_nonzero(finite))
        text = f"{label}: {number}" + (f", {len(values) - number} not finite" if number < len(values) else "")
        counts = np.histogram(values[finite], edges, weights=None if by is None else weights[finite])[0]
        axes.stairs(counts, edges, label=text, fill=label == "before", alpha=0.4 if label == "before" else 1.0)
    axes.set_xlabel(name)
    axes.set_ylabel("entries" if by is None else f"sum of {by}")
    axes.legend()


def _edges(values: Iterable[NDArray[np.float64]], bins: int) -> Any:
    """Equal bins over all finite values; centred on the numbers where these are few whole ones."""
    finite = np.concatenate([part[np.isfinite(part)] for part in values])
    if len(finite) == 0:
        return np.array([0.0, 1.0])
    low, high = float(finite.min()), float(finite.max())
    if high - low <= bins and np.array_equal(finite, np.round(finite)):
        return np.arange(low - 0.5, high + 1.0)
    return np.histogram_bin_edges([low, high], bins)


def _rows(axes: Axes, account: Account) -> None:
    numbers = {
        "in": account.rows_in,
        "dropped": sum(account.dropped.values()),
        "made": sum(account.made.values()),
        "out": account.rows_out,
    }
    axes.bar_label(axes.bar(list(numbers), list(numbers.values())))
    axes.set_ylabel("rows")
