"""The training sample of a model, as its bundle describes it: how to recognise its events, and what the model lacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK, EVENT = "luminosityBlock", "event"
EFFECTS = frozenset({"unmatched", "objects", "scalar_sum"})


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The events that a model was trained on.

    Parameters
    ----------
    source
        The collection of generated objects; empty: of any name.
    detector
        In words: whose response the model has.
    events_per_block
        Events of this sample are numbered through: event number n lies in the luminosity block n // ``events_per_block``.
        Others are not, so that they are told apart. None: nothing tells them, and all events are taken for its like.
    effects
        For each process of other events of the same generator and detector, what becomes of it with the model in place of
        the detector: ``unmatched``, the share of reconstructed objects without a generated one, of which the model makes
        none; ``objects`` and ``scalar_sum``, the number of objects in an event and the sum of their pT, fast over full
        less 1.
    """

    source: str = ""
    detector: str
    events_per_block: int | None = None
    effects: Mapping[str, Mapping[str, float]]

    def __post_init__(self) -> None:
        if not isinstance(self.detector, str) or not self.detector:
            raise ValueError(f"sample: detector must say in words whose response it is, got {self.detector!r}")
        if not isinstance(self.source, str):
            raise ValueError(f"sample: source must be the name of a collection, got {self.source!r}")  # noqa: TRY004
        per = self.events_per_block
        if per is not None and not (type(per) is int and per > 0):
            raise ValueError(f"sample: events_per_block must be a positive whole number or null, got {per!r}")
        for process, numbers in _checked(self.effects).items():
            if set(_checked(numbers)) != EFFECTS or not np.all(np.isfinite([*numbers.values()])):
                raise ValueError(f"sample: effects of {process!r} must be {sorted(EFFECTS)}, got {numbers!r}")

    def known(self, source: str, ids: Mapping[str, NDArray[np.uint64]], events: int) -> NDArray[np.bool_]:
        """Of which events (n,) the objects in ``source`` are of this sample's kind.

        By the ids of the events; of none where other columns identify them, or where it is another collection.
        """
        if self.source and self.source != source:
            return np.zeros(events, np.bool_)
        if self.events_per_block is None:
            return np.ones(events, np.bool_)
        if BLOCK not in ids or EVENT not in ids:
            return np.zeros(events, np.bool_)
        same: NDArray[np.bool_] = ids[EVENT] // np.uint64(self.events_per_block) == ids[BLOCK]
        return same


def _checked(values: Any) -> Mapping[str, Any]:
    if not isinstance(values, Mapping):
        raise ValueError(f"sample: effects must be a dictionary for each process, got {values!r}")  # noqa: TRY004
    return values
