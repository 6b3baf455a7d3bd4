"""Counters of a stage: rows in, dropped, made and out, sums of weights, seconds per step."""

from __future__ import annotations

import math
import resource
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


def peak_memory() -> int:
    """The most memory that this process has had so far, in bytes.

    Linux counts in ``ru_maxrss`` what the process that started this one had, and in ``VmHWM`` what this one has had.
    """
    if sys.platform == "linux":
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # The kernel counts kilobytes, except on macOS.
    return peak if sys.platform == "darwin" else peak * 1024


@dataclass
class Account:
    """What became of the rows of one partition, or of many (accounts add up).

    ``rows_in - dropped + made == rows_out`` holds in every account. Sums of weights are added with
    :func:`math.fsum`, so that the total of the same accounts does not depend on their order.
    """

    rows_in: int = 0
    rows_out: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    """Rows dropped, by the label of the step that dropped them."""
    made: dict[str, int] = field(default_factory=dict)
    """Rows made, by the label of the step that made them."""
    weights_in: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Sum of w and of w squared of each weight column, before the first step."""
    weights_out: dict[str, tuple[float, float]] = field(default_factory=dict)
    """The same after the last step."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall seconds spent in each step."""
    doubted: dict[str, int] = field(default_factory=dict)
    """Rows that a step was not made for, by its label."""
    cut: int = 0
    """Of the rows dropped, those that cuts dropped, steps that act on all rows; training steps resample."""
    weights_cut: dict[str, tuple[float, float]] = field(default_factory=dict)
    """What cuts took of the sums of w and of w squared: what else they differ by is the resampling's."""

    @property
    def adds_up(self) -> bool:
        """Whether rows in - dropped + made is rows out."""
        return self.rows_in - sum(self.dropped.values()) + sum(self.made.values()) == self.rows_out

    def then(self, later: Account) -> Account:
        """The account of two passes over the same rows, one after the other."""
        return Account(
            rows_in=self.rows_in,
            rows_out=later.rows_out,
            dropped={**self.dropped, **later.dropped},
            made={**self.made, **later.made},
            doubted={**self.doubted, **later.doubted},
            weights_in=self.weights_in,
            weights_out=later.weights_out,
            cut=self.cut + later.cut,
            weights_cut=_added(self.weights_cut, later.weights_cut),
            seconds={**self.seconds, **later.seconds},
        )

    def to_dict(self) -> dict[str, Any]:
        """The account as JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Account:
        """The account that :meth:`to_dict` wrote."""
        kept = dict(values)
        for name in ("weights_in", "weights_out", "weights_cut"):
            kept[name] = {column: (float(w), float(w2)) for column, (w, w2) in kept.get(name, {}).items()}
        return cls(**kept)

    @classmethod
    def total(cls, accounts: Iterable[Account]) -> Account:
        """The sum of accounts, the same in any order."""
        parts = list(accounts)

        def counts(name: str) -> dict[str, int]:
            labels = sorted({label for part in parts for label in getattr(part, name)})
            return {label: sum(getattr(part, name).get(label, 0) for part in parts) for label in labels}

        def sums(name: str) -> dict[str, tuple[float, float]]:
            columns = sorted({column for part in parts for column in getattr(part, name)})
            values = {column: [getattr(part, name).get(column, (0.0, 0.0)) for part in parts] for column in columns}
            return {column: (math.fsum(w for w, _ in v), math.fsum(w2 for _, w2 in v)) for column, v in values.items()}

        labels = sorted({label for part in parts for label in part.seconds})
        return cls(
            rows_in=sum(part.rows_in for part in parts),
            rows_out=sum(part.rows_out for part in parts),
            dropped=counts("dropped"),
            made=counts("made"),
            doubted=counts("doubted"),
            weights_in=sums("weights_in"),
            weights_out=sums("weights_out"),
            cut=sum(part.cut for part in parts),
            weights_cut=sums("weights_cut"),
            seconds={label: math.fsum(part.seconds.get(label, 0.0) for part in parts) for label in labels},
        )


def _added(
    one: Mapping[str, tuple[float, float]], other: Mapping[str, tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    none = (0.0, 0.0)
    pairs = {column: (one.get(column, none), other.get(column, none)) for column in {**one, **other}}
    return {column: (a + c, b + d) for column, ((a, b), (c, d)) in pairs.items()}
