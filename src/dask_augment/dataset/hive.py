"""Cut tables by the columns that become hive folders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from dask_augment.dataset.layout import hive_folder, refuse_changed
from dask_augment.dataset.schema import SchemaError

_LARGEST = 2**31 - 1


def check_keys(schema: pa.Schema, keys: tuple[str, ...]) -> None:
    """SchemaError unless each key is a string or integer column, or ``dataset``, and a column is left."""
    for key in keys:
        if key not in schema.names:
            if key == "dataset":
                continue
            raise SchemaError(f"partition_by names {key!r}, which is no column; the columns are {schema.names}")
        kind = _plain(schema.field(key).type)
        if not (pa.types.is_string(kind) or pa.types.is_integer(kind)):
            flag = (
                ": readers would give a flag back as the text 'true', define an integer of it"
                if pa.types.is_boolean(kind)
                else ""
            )
            raise SchemaError(f"partition_by names {key!r}, which is {kind}; a folder's name is made from a string or an integer"
                              f"{flag}")  # fmt: skip
    if set(schema.names) <= set(keys):
        raise SchemaError(f"partition_by {list(keys)} leaves no column for the files")


def split(piece: pa.Table, keys: tuple[str, ...], constant: Mapping[str, str]) -> Iterator[tuple[str, pa.Table]]:
    """Each hive folder with its rows in their order; keys that are no columns have the ``constant`` value."""
    columns = [key for key in keys if key in piece.schema.names]
    if not columns:
        for key in keys:
            refuse_changed(key, constant[key])
        yield hive_folder({key: constant[key] for key in keys}), piece
        return
    if not piece.num_rows:
        return
    texts, codes = zip(*(_codes(piece, key) for key in columns), strict=True)
    shape = tuple(len(text) for text in texts)
    groups, group = np.unique(np.ravel_multi_index(codes, shape), return_inverse=True)
    rest = piece.drop_columns(columns)
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(np.bincount(group, minlength=len(groups)))
    for code, start, end in zip(groups, np.r_[0, ends[:-1]], ends, strict=True):
        values = {key: text[i] for key, text, i in zip(columns, texts, np.unravel_index(code, shape), strict=True)}
        folder = hive_folder({key: values.get(key, constant.get(key, "")) for key in keys})
        yield folder, rest if len(groups) == 1 else rest.take(pa.array(order[start:end]))


def _codes(piece: pa.Table, key: str) -> tuple[list[str], np.ndarray]:
    column = piece.column(key).combine_chunks()
    if column.null_count:
        raise SchemaError(f"column {key!r} has {column.null_count} missing values; a row without it has no folder")
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    values = coded.dictionary.to_pylist()
    for value in values:
        if isinstance(value, str):
            refuse_changed(key, value)
        elif abs(value) > _LARGEST:
            raise SchemaError(f"column {key!r} has the value {value}, beyond 32 bits, which readers of folders would give back as a "
                              "text; partition by something smaller")  # fmt: skip
    texts = [str(value) for value in values]
    return texts, coded.indices.to_numpy(zero_copy_only=False)


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
