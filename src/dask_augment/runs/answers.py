"""Answers of parts to the questions of a run, kept in staging, so that a resumed run does not ask them again."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from dask_augment.contract.augmenter import Measure
from dask_augment.dataset.layout import encode
from dask_augment.dataset.store import files
from dask_augment.runs.totals import NotKept, from_bytes, to_bytes

MOST_BYTES = 32 << 20
"""A larger answer is not kept: to write it costs as much as to ask again."""


class Answers:
    """What was answered so far, question by question.

    A learner asks the same questions in the same order whenever the same plan is carried out, so a question is known by
    its label, its number and its kind. Answers add up, so those of any parts may be kept, however the rest is cut, and
    whatever else was asked in the same pass.
    """

    def __init__(self, staging: Path) -> None:
        self._staging = staging
        self._asked: Counter[str] = Counter()

    def to(self, measure: Measure[Any], label: str) -> Kept:
        """What is kept of the answer to the next question of this label."""
        number, self._asked[label] = self._asked[label], self._asked[label] + 1
        kind = type(measure)
        name = hashlib.sha256(f"{kind.__module__}.{kind.__qualname__}".encode()).hexdigest()[:12]
        return Kept(self._staging, self._of(label) / f"{number:06d}-{name}")

    def _of(self, label: str) -> Path:
        # The check of ids has no label, and any name may be that of a step.
        return self._staging / "answers" / (f"steps/{encode(label)}" if label else "ids")

    def forget(self, label: str) -> None:
        """Remove the answers of this label: what is learned from them is kept."""
        with suppress(OSError):
            files.remove_folder(self._of(label))


class Kept:
    """The answers to one question, each of a batch of parts."""

    def __init__(self, staging: Path, folder: Path) -> None:
        self._staging, self._folder = staging, folder

    def known(self, wanted: Collection[str]) -> Iterator[tuple[frozenset[str], Any]]:
        """Ids of parts, and their answer; of parts that are wanted, each part once."""
        left = set(wanted)
        for path in sorted(self._folder.glob("*.answer")):
            found = _loaded(path)
            if found is not None and found[0] <= left:
                left -= found[0]
                yield found

    def keep(self, parts: Collection[str], answer: Any) -> None:
        """Keep the answer of these parts, if it can be kept as values.

        That a disk is full is told by what must be written, not here.
        """
        try:
            data = to_bytes((sorted(parts), answer))
        except NotKept:
            return
        if len(data) > MOST_BYTES:
            return
        draft = self._folder / uuid4().hex
        with suppress(OSError):
            # A late client must not make a staging folder anew that was published or given up.
            files.make_below(self._staging, self._folder)
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(hashlib.sha256(data).digest() + data)
            os.rename(draft, draft.with_suffix(".answer"))


def _loaded(path: Path) -> tuple[frozenset[str], Any] | None:
    """What a file keeps; None for one that was cut short, or that somebody else may have written."""
    with suppress(OSError, NotKept), open(path, "rb") as file:
        about = os.fstat(file.fileno())
        if about.st_uid != os.geteuid() or about.st_mode & 0o022:
            return None
        seal, data = file.read(32), file.read()
        if hashlib.sha256(data).digest() != seal:
            return None
        match from_bytes(data):
            case (list(parts), answer) if all(isinstance(part, str) for part in parts):
                return frozenset(parts), answer
    return None
