"""Values for columns that a file lacks, as ``inputs: fill`` gives them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from dask_augment.dataset.schema import collection
from dask_augment.events.columns import flat
from dask_augment.files.documents import PlanError
from dask_augment.inputs.sources import Files


def refuse_unread(fill: Mapping[str, Any], names: Collection[str], known: Collection[str]) -> None:
    """Refuse what fills columns not among ``names``, which are read, or ``known``, which files have; and odd values."""
    for name, value in fill.items():
        if flat(name) not in names:
            raise PlanError(
                f"inputs: fill names {name!r}, which no step uses and output: keep does not name: take it out, or keep it"
            )
        if flat(name) not in known:
            raise PlanError(
                f"inputs: fill names {name!r}, which no input file has: name it in output: keep without a pattern to make it"
            )
        if not (value == [] or isinstance(value, (bool, int, float, str))) or (
            type(value) is float and not math.isfinite(value)
        ):
            raise PlanError(
                f"inputs: fill must give {name!r} one number, true, false or text, or [] for no objects, got {value!r}"
            )


def kind_of(value: Any, name: str) -> pa.Field:
    """The type of a column that no file has, from what fills it."""
    if value == []:
        raise PlanError(f"inputs: fill gives {name!r} no objects, but no input file has it, so its type is unknown")
    return pa.field(name, pa.scalar(value).type, nullable=False)


def check_fill(files: Files, schema: pa.Schema, fill: Mapping[str, Any]) -> None:
    """Refuse what does not fit the type of its column, and lists of objects whose number nobody knows."""
    for name, value in fill.items():
        kind = schema.field(name).type
        is_list = pa.types.is_list(kind)
        if value == [] and not is_list:
            raise PlanError(
                f"inputs: fill gives {name!r} no objects, but it is {kind} for each event: give it one value"
            )
        if value != []:
            _as(value, kind, name)
        for source, content in files.items():
            if content.has(name) or not content.entries:
                continue
            others = siblings(name, schema, content.columns - content.faults.keys())
            if value == [] and others:
                raise PlanError(
                    f"inputs: fill gives {name!r} no objects, but {source.path!r} has {others[0]!r}: give one value for "
                    "each of these objects"
                )
            if value != [] and is_list and not others:
                raise PlanError(
                    f"inputs: fill gives {name!r} {value!r}, but of {source.path!r} no column of {collection(name)!r} is "
                    "read that says how many objects there are: keep another one, or write [] for no objects"
                )


def siblings(name: str, schema: pa.Schema, there: Collection[str]) -> list[str]:
    """The other list columns of a collection that are read of a file that has the columns ``there``."""
    return [
        other.name
        for other in schema
        if pa.types.is_list(other.type) and collection(other.name) == collection(name) and other.name in there
    ]


def _as(value: Any, kind: pa.DataType, name: str) -> Any:
    while pa.types.is_list(kind):
        kind = kind.value_type
    fits = {bool: pa.types.is_boolean, int: pa.types.is_integer, str: pa.types.is_string, float: pa.types.is_floating}
    right = fits[type(value)](kind) or (type(value) is int and pa.types.is_floating(kind))
    if right and not isinstance(value, (bool, str)):
        made = np.dtype(kind.to_pandas_dtype())
        right = made.kind == "f" or np.iinfo(made).min <= value <= np.iinfo(made).max
    if not right:
        raise PlanError(
            f"inputs: fill gives {name!r} {value!r}, but the column is {kind}: give it a value of that type"
        )
