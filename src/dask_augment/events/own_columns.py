"""Names and types of the columns that this package itself writes and reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

WEIGHT = "weight"
"""The physics weight, unless ``weights=`` names others; 0 on made rows."""
TRAIN_WEIGHT = "train_weight"
"""The weight for training; 1 where there is none yet."""
SPLIT, TRAIN = "split", 0
"""What a row is for, unless ``split=`` names another column, and its value of training rows."""
DATASET = "dataset"
"""The name of the data set, where several are together."""
KIND, COPY = "augment_kind", "augment_copy"
"""What a row is, one of ``KINDS``, and its number among the rows that were made of one event."""
CHANGED = "augment_changed"
"""Bit i is set where step i altered values that the event had."""
BASE_COPY, OTHER_COPY, SHARE = "augment_base_copy", "augment_other_copy", "augment_share"
"""Of an interpolated row the copy numbers of its parents, and how far from the first it lies."""

KINDS: Mapping[str, int] = {"": 0, "copies": 1, "interpolated": 2, "generated": 3}
"""What ``augment_kind`` says of a row made by a step that ``makes`` this; 0 is an original row, and so is what is below."""
GENERATED = -1
"""What ``augment_kind`` says of an event that an input makes from nothing: an original, as 0 is, and of no file."""
PROVENANCE: Mapping[str, str] = {KIND: "int8", COPY: "int64"}
"""Columns that say what a row is, with their types, written where a step makes rows."""
OURS = (SPLIT, TRAIN_WEIGHT, *PROVENANCE, CHANGED)
"""Columns that earlier runs of this package wrote; they are read where a file has them."""


def other(name: str) -> str:
    """The column that has an id, or the data set, of the second parent of an interpolated row."""
    return f"augment_other_{name}"


def lineage(ids: Iterable[str]) -> dict[str, str]:
    """Columns that say of which two rows an interpolated one was made, and how far from the first; 0 of other rows."""
    words = dict.fromkeys(map(other, (DATASET, *ids)), "uint64")
    return {BASE_COPY: "int64", **words, OTHER_COPY: "int64", SHARE: "float64"}


def is_provenance(name: str) -> bool:
    """Whether a column, dotted or flat, tells where a row comes from."""
    return name.startswith(("augment_", "augment."))
