"""Random numbers keyed by event, copy and step: the same for any partitioning, order, retry and worker.

The words, exactly. A row's 128-bit state starts as blake2b(JSON of [seed, label, data set, number of ids]). Then the
row's ids and its copy number, each as a 64-bit word, are mixed in two by two (a zero pads an odd count): one
Philox4x32-10 block with one half of the state as key and (first word xor the other half, second word) as counter gives
the next state. Word j of object o in stream s is half j % 2 of the block with the state's first half as key and
(second half, o, s * 4096 + j // 2) as counter. Neither the partition nor the position of a step in a plan is in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_augment.kernels import philox

_STREAMS = 2**20
_SIZES = 2 * 4096


def _state(*words: Any) -> NDArray[np.uint64]:
    digest = hashlib.blake2b(json.dumps(words).encode(), digest_size=16).digest()
    return np.frombuffer(digest, dtype="<u8").astype(np.uint64)


def composed(copies: NDArray[np.int64], label: str, nth: NDArray[Any]) -> NDArray[np.int64]:
    """The copy number of the nth child made by step ``label`` of rows with these copy numbers; nth 0 is the row itself.

    A 63-bit mix of all three, so that copies of copies stay distinct whatever steps made them.
    """
    key, chain = (np.full(len(copies), half) for half in _state("copy", label))
    philox.absorb(key, chain, copies.astype(np.uint64), nth.astype(np.uint64))
    mixed = (key >> np.uint64(1)).astype(np.int64)
    return np.where(nth == 0, copies, np.maximum(mixed, 1))


@dataclass(frozen=True, eq=False)
class Draw:
    """Uniform, normal and integer numbers for the rows of one slice of events, and their ids.

    Each call names its ``stream``: two calls with one stream give the same numbers. With ``counts`` (int (n,)) there is
    one number for each object, flat; with ``size`` a second axis of that many numbers.
    """

    seed: int
    label: str
    datasets: Sequence[str]
    """Names of the data sets that rows belong to."""
    ids: Mapping[str, NDArray[np.uint64]]
    """The id columns, as 64-bit words, in the order in which they are mixed."""
    copies: NDArray[np.int64]
    """Copy number of each row; 0 is the original."""
    codes: NDArray[np.int64] | None = field(default=None)
    """Which of ``datasets`` each row belongs to; None: all to the first."""

    def __len__(self) -> int:
        return len(self.copies)

    @cached_property
    def _states(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        starts = np.stack([_state(self.seed, self.label, name, len(self.ids)) for name in self.datasets], axis=1)
        key, chain = (np.full(len(self), half[0]) if self.codes is None else half[self.codes] for half in starts)
        words = [*self.ids.values(), self.copies.astype(np.uint64)]
        if len(words) % 2:
            words.append(np.zeros(len(self), np.uint64))
        for first, second in zip(words[::2], words[1::2], strict=True):
            philox.absorb(key, chain, first, second)
        return key, chain

    def at(self, rows: NDArray[np.int64], nth: NDArray[Any]) -> Draw:
        """The numbers of the nth children of these rows; nth 0 draws as the row itself."""
        return Draw(
            seed=self.seed,
            label=self.label,
            datasets=self.datasets,
            ids={name: values[rows] for name, values in self.ids.items()},
            copies=composed(self.copies[rows], self.label, np.asarray(nth)),
            codes=None if self.codes is None else self.codes[rows],
        )

    def of_originals(self) -> Draw:
        """The numbers of the events themselves: all copies of one draw the same."""
        return replace(self, copies=np.zeros_like(self.copies))

    def bits(self, stream: int, *, counts: NDArray[Any] | None = None, size: int | None = None) -> NDArray[np.uint64]:
        """Random 64-bit words: (n,), (sum(counts),), and with ``size`` a second axis."""
        if not 0 <= stream < _STREAMS:
            raise ValueError(f"stream must lie in [0, {_STREAMS}), got {stream}")
        if size is not None and not 0 <= size <= _SIZES:
            raise ValueError(f"size must lie in [0, {_SIZES}], got {size}; use another stream for more numbers")
        if counts is None and size is None:
            first: NDArray[np.uint64] = philox.word(*self._states, stream)
            return first
        objects = np.ones(len(self), np.int64) if counts is None else np.asarray(counts).astype(np.int64)
        if len(objects) != len(self):
            raise ValueError(f"counts has {len(objects)} entries for {len(self)} rows; give one count for each row")
        words = philox.words(*self._states, objects, stream, 1 if size is None else size)
        found: NDArray[np.uint64] = words[:, 0] if size is None else words
        return found

    def uniform(
        self, stream: int, *, counts: NDArray[Any] | None = None, size: int | None = None
    ) -> NDArray[np.float64]:
        """Uniform numbers in [0, 1), multiples of 2**-53."""
        words = self.bits(stream, counts=counts, size=size)
        numbers: NDArray[np.float64] = philox.uniforms(words.ravel()).reshape(words.shape)
        return numbers

    def normal(
        self, stream: int, *, counts: NDArray[Any] | None = None, size: int | None = None
    ) -> NDArray[np.float64]:
        """Standard normal numbers (mean 0, variance 1), from the inverse of the distribution function."""
        words = self.bits(stream, counts=counts, size=size)
        numbers: NDArray[np.float64] = philox.normals(words.ravel()).reshape(words.shape)
        return numbers

    def integers(
        self, stream: int, high: int | NDArray[Any], *, counts: NDArray[Any] | None = None, size: int | None = None
    ) -> NDArray[np.int64]:
        """Integers in [0, high); ``high`` is a number or one number for each row (each object with ``counts``)."""
        words = self.bits(stream, counts=counts, size=size)
        bounds = np.asarray(high, np.int64)
        if bounds.min(initial=1) < 1:
            raise ValueError(f"high must be at least 1, got {int(bounds.min())}")
        if size is not None and bounds.ndim == 1:
            bounds = bounds[:, None]
        flat = np.ascontiguousarray(np.broadcast_to(bounds, words.shape)).ravel()
        numbers: NDArray[np.int64] = philox.below(words.ravel(), flat).reshape(words.shape)
        return numbers
