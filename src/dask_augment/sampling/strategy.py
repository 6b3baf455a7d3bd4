"""How many rows each stratum gets, from counts alone, in integers."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, TypeAlias

from dask_augment.options import is_number

Strategy: TypeAlias = str | float | Mapping[str, int]
"""What ``sampling_strategy`` may be in a plan."""

_NAMES = ("auto", "majority", "minority", "not majority", "not minority", "all")
_FINE = 2**64
_MOST_TOLD = 50
"""Strata whose rows a message tells; there may be thousands."""


def targets(
    counts: Mapping[str, int], sampling_strategy: Strategy | Callable[[Mapping[str, int]], Strategy], kind: str
) -> dict[str, int]:
    """Rows that each stratum is to have in the end, by the rules of imbalanced-learn's ``sampling_strategy``.

    Parameters
    ----------
    counts
        Rows that each stratum has.
    sampling_strategy
        - ``"auto"``: ``"not minority"`` for under-sampling, ``"not majority"`` for over-sampling;
        - ``"not minority"``, ``"majority"`` (under-sampling only), ``"not majority"``, ``"minority"`` (over-sampling
          only), ``"all"``: the strata that are brought to the size of the smallest (under) or largest (over);
        - a float in (0, 1], for two strata: rows of the smaller one / rows of the larger one in the end;
        - a dictionary: rows of the strata that it names, in the end; the others stay;
        - a function of the counts that returns one of these.
    kind
        ``"under"`` or ``"over"``.

    Of strata of one size, the first by label is the smallest and the largest. Strata that are not named keep their
    number of rows.
    """
    if kind not in ("under", "over"):
        raise ValueError(f'kind must be "under" or "over", got {kind!r}')
    have = {label: int(counts[label]) for label in sorted(counts)}
    return have | wanted(have, sampling_strategy(have) if callable(sampling_strategy) else sampling_strategy, kind)


def wanted(counts: Mapping[str, int], strategy: Any, kind: str) -> dict[str, int]:
    """Rows that those strata are to have which the strategy is about; the arguments are those of :func:`targets`."""
    have = {label: counts[label] for label in sorted(counts)}
    if isinstance(strategy, Mapping):
        return _named(have, strategy, kind)
    if len(have) < 2:
        raise ValueError(
            f"sampling_strategy: {strategy!r} balances strata against each other, and there is but one: {list(have)}; "
            f"name more strata, or say how many rows it is to have: {{stratum: rows}} {rows_of(have)}"
        )
    if isinstance(strategy, str):
        return _equal(have, strategy, kind)
    return _ratio(have, _checked_ratio(strategy), kind)


def rows_of(counts: Mapping[str, int]) -> str:
    """The rows of all strata, at the end of a message about them."""
    told = [f"{label!r}: {counts[label]}" for label in sorted(counts)[:_MOST_TOLD]]
    more = f" and {len(counts) - _MOST_TOLD} more" if len(counts) > _MOST_TOLD else ""
    return f"(rows of strata: {', '.join(told)}{more})"


def number_of(events: int) -> str:
    """So many events, in words."""
    return f"{events} event" if events == 1 else f"{events} events"


def check_strategy(strategy: Any, kind: str) -> None:
    """Raise for what can be seen to be wrong in a ``sampling_strategy`` before there are counts."""
    if callable(strategy):
        raise TypeError(
            "sampling_strategy is part of the plan, which cannot hold a function; count the rows and pass what it "
            "returns: a dictionary {stratum: rows}"
        )
    if isinstance(strategy, str):
        _equal({"a": 1, "b": 1}, strategy, kind)
    elif not isinstance(strategy, Mapping):
        _checked_ratio(strategy)


def _checked_ratio(strategy: Any) -> float:
    if not is_number(strategy):
        raise TypeError(
            f"sampling_strategy must be one of {list(_NAMES)}, a number in (0, 1] or a dictionary, got {strategy!r}"
        )
    if not 0 < strategy <= 1:
        raise ValueError(f"sampling_strategy as a number must lie in (0, 1], got {strategy}")
    return float(strategy)


def _equal(have: Mapping[str, int], strategy: str, kind: str) -> dict[str, int]:
    useless = "minority" if kind == "under" else "majority"
    allowed = [name for name in _NAMES if name != useless]
    if strategy not in allowed:
        raise ValueError(f"sampling_strategy of {kind}-sampling must be one of {allowed}, got {strategy!r}")
    if strategy == "auto":
        strategy = "not minority" if kind == "under" else "not majority"
    smallest, largest = min(have, key=have.__getitem__), max(have, key=have.__getitem__)
    size = have[smallest] if kind == "under" else have[largest]
    chosen = {
        "minority": {smallest},
        "majority": {largest},
        "not minority": set(have) - {smallest},
        "not majority": set(have) - {largest},
        "all": set(have),
    }[strategy]
    return {label: size for label in have if label in chosen}


def _ratio(have: Mapping[str, int], ratio: float, kind: str) -> dict[str, int]:
    if len(have) != 2:
        raise ValueError(
            f"sampling_strategy: {ratio} is the ratio of two strata, and there are {len(have)}; use a dictionary "
            f"{rows_of(have)}"
        )
    smallest, largest = min(have, key=have.__getitem__), max(have, key=have.__getitem__)
    if kind == "under":
        (label,) = set(have) - {smallest}
        size = int(min(have[smallest] / ratio, 2.0**63))
        if size > have[label]:
            raise ValueError(
                f"sampling_strategy: {ratio} asks for {size} rows of {label!r}, which has {have[label]}: the ratio is "
                f"larger than that already; increase it {rows_of(have)}"
            )
    else:
        (label,) = set(have) - {largest}
        size = int(have[largest] * ratio)
        if size <= have[label]:
            raise ValueError(
                f"sampling_strategy: {ratio} asks for {size} rows of {label!r}, which has {have[label]}: there is "
                f"nothing to make; increase the ratio {rows_of(have)}"
            )
    return {label: size}


def _named(have: Mapping[str, int], wanted: Mapping[str, int], kind: str) -> dict[str, int]:
    for label, rows in wanted.items():
        if label not in have:
            near = difflib.get_close_matches(str(label), have, n=3, cutoff=0.4) or list(have)[:5]
            raise ValueError(
                f"sampling_strategy names the stratum {label!r}, which is not there; the nearest are {near}"
            )
        if isinstance(rows, bool) or int(rows) != rows or rows < 0:
            raise ValueError(
                f"sampling_strategy wants {rows!r} rows of {label!r}; it must be a number of rows, 0 or more"
            )
        if kind == "under" and rows > have[label]:
            raise ValueError(
                f"sampling_strategy wants {rows} rows of {label!r}, which has {have[label]}; under-sampling cannot add any "
                f"{rows_of(have)}"
            )
        if kind == "over" and rows < have[label]:
            raise ValueError(
                f"sampling_strategy wants {rows} rows of {label!r}, which has {have[label]}; over-sampling drops none "
                f"{rows_of(have)}"
            )
    return {label: int(rows) for label, rows in wanted.items()}


def apportion(size: int, shares: Sequence[int], least: Sequence[int], most: Sequence[int]) -> list[int]:
    """Whole numbers that add up to ``size``, in proportion to ``shares``, each within its ``least`` and ``most``.

    Highest averages with odd divisors (Sainte-Lague, Webster): seat after seat goes to the largest share / (2 s + 1)
    with s seats so far, the first of equals first. Unlike with largest remainders no number falls when ``size`` rises,
    so that a larger sample contains the smaller one. Where one is full, the others take its part; those with share 0
    come last.
    """
    if not sum(least) <= size <= sum(most):
        raise ValueError(f"{size} rows cannot be divided: at least {sum(least)} and at most {sum(most)} are possible")
    # So small that all others are full before a share of 0 counts; among those, what may be had decides.
    shares = [share * _FINE or high for share, high in zip(shares, most, strict=True)]
    total = max(sum(shares), 1)

    def seats(rate: int) -> list[int]:
        """Everyone's seats at ``rate / _FINE`` seats for each part in ``total``: the share, rounded."""
        rounded = ((2 * share * rate + total * _FINE) // (2 * total * _FINE) for share in shares)
        return [min(max(s, low), high) for s, low, high in zip(rounded, least, most, strict=True)]

    low, high = 0, (2 * max(most, default=0) + 1) * total * _FINE
    while low < high:  # the highest rate at which there are not too many
        middle = (low + high + 1) // 2
        number = sum(seats(middle))
        low, high = (middle, high) if number <= size else (low, middle - 1)
        if number == size:  # so has everyone at any higher rate that is not too many
            break
    # What is left goes to equals: all of them would have a seat more at the next rate, which is too many.
    got, more = seats(low), seats(low + 1)
    left = size - sum(got)
    for i in range(len(got)):
        if left and more[i] > got[i]:
            got[i] += 1
            left -= 1
    return got


def proportional(counts: Mapping[str, int], size: int, minimum: Mapping[str, int] | int = 1) -> dict[str, int]:
    """Proportional allocation: n_h = n N_h / N, at least ``minimum`` where a stratum has so many."""
    return _allocated(counts, size, dict(counts), minimum)


def neyman(
    counts: Mapping[str, int], sigmas: Mapping[str, float], size: int, minimum: Mapping[str, int] | int = 1
) -> dict[str, int]:
    """Optimal (Neyman) allocation: n_h = n N_h s_h / sum(N_h s_h), with the standard deviations s_h of a variable.

    Of all samples of ``size`` rows it gives the mean of that variable the smallest variance. A stratum gets at most
    the rows it has, and the others what is left over.
    """
    for label in counts:
        if not (isfinite(sigmas[label]) and sigmas[label] >= 0):
            raise ValueError(f"standard deviation of stratum {label!r} must be a finite number, got {sigmas[label]}")
    largest = max(sigmas.values(), default=0.0)
    if largest == 0:
        raise ValueError('the variable of allocation="neyman" varies in no stratum; use allocation="proportional"')
    shares = {label: counts[label] * round(sigmas[label] / largest * 2**40) for label in counts}
    return _allocated(counts, size, shares, minimum)


def _allocated(
    counts: Mapping[str, int], size: int, shares: Mapping[str, int], minimum: Mapping[str, int] | int
) -> dict[str, int]:
    labels = sorted(counts)
    lows = minimum if isinstance(minimum, Mapping) else dict.fromkeys(labels, minimum)
    least = [min(lows[label], counts[label]) for label in labels]
    if not sum(least) <= size <= sum(counts.values()):
        raise ValueError(
            f"size must lie between {sum(least)}, the fewest rows that the strata may have together, and the "
            f"{sum(counts.values())} rows that there are, got {size} {rows_of(counts)}"
        )
    rows = apportion(size, [shares[label] for label in labels], least, [counts[label] for label in labels])
    return dict(zip(labels, rows, strict=True))
