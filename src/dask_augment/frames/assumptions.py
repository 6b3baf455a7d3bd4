"""Report assumptions of a step that some events violate: counted in accounts, otherwise given as a warning."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import awkward as ak

from dask_augment.contract.flow import Step
from dask_augment.contract.setting import Setting
from dask_augment.frames.step_inputs import draw_of

_layer: ContextVar[str] = ContextVar("layer", default="")
_MOST = 1000
_told: dict[tuple[str, str], None] = {}
"""Layers and steps of which this process warned, the last ones: a worker may live for months."""
_telling = threading.Lock()


def count(counts: dict[str, int], step: Step, events: ak.Array, setting: Setting) -> None:
    """Add the rows, there are some, that a step was not made for."""
    augmenter = step.augmenter
    if augmenter.keyed and augmenter.doubt() and (number := augmenter.doubted(draw_of(step.label, events, setting))):
        counts[step.label] = counts.get(step.label, 0) + number


def sentence(label: str, doubt: str) -> str:
    """What is said of a step."""
    return f"step {label!r}: {doubt}"


def tell(steps: Iterable[Step], counts: Mapping[str, int]) -> None:
    """Warn of each step that was not made for some of its rows; on a worker of a cluster, its clients are warned too.

    Of one layer of a graph, a process warns once, whatever the number of partitions.
    """
    for step in steps:
        if not counts.get(step.label):
            continue
        if layer := _layer.get():
            with _telling:
                if (layer, step.label) in _told:
                    continue
                _told[layer, step.label] = None
                if len(_told) > _MOST:
                    del _told[next(iter(_told))]
        _warn(sentence(step.label, step.augmenter.doubt()))


@contextmanager
def inside(layer: str) -> Iterator[None]:
    """What is run here is of this layer."""
    token = _layer.set(layer)
    try:
        yield
    finally:
        _layer.reset(token)


def _warn(text: str) -> None:
    # Who runs on a worker, or has a client, has imported it.
    distributed: Any = sys.modules.get("distributed")
    if distributed is None or _has_client(distributed):
        warnings.warn(text, UserWarning, stacklevel=levels())
    else:
        distributed.warn(text, UserWarning, stacklevel=levels())


def _has_client(distributed: Any) -> bool:
    """Whether the person's own process is this one."""
    try:
        distributed.default_client()
    except ValueError:
        return False
    return True


def levels() -> int:
    """How many calls up the code lies that is neither of this package nor of dask."""
    frame, levels = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in (
        "dask_augment",
        "dask",
    ):
        frame, levels = frame.f_back, levels + 1
    return levels
