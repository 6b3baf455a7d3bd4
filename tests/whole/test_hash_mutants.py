"""The logical hash of real events sees every change of them, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dask_augment.dataset.hashing import LogicalHash, logical_hash
from dask_augment.dataset.schema import empty_table
from truth import Truth


def changed(table: pa.Table, name: str, change: Callable[[list[Any]], None]) -> pa.Table:
    values = table[name].to_pylist()
    change(values)
    field = table.schema.field(name)
    if pa.types.is_list(field.type):
        field = pa.field(name, pa.list_(pa.field("element", field.type.value_type, nullable=True)))
    return table.set_column(table.schema.get_field_index(name), field, [pa.array(values, field.type)])


def one_nested_value(values: list[Any]) -> None:
    values[100][-1] = float(np.nextafter(np.float32(values[100][-1]), np.float32(np.inf)))


def swapped(values: list[Any]) -> None:
    assert values[0] != values[-1]
    values[0], values[-1] = values[-1], values[0]


def zero(values: list[Any]) -> None:
    values[7][0] = 0.0


def null(values: list[Any]) -> None:
    values[7][0] = None


@pytest.mark.slow
def test_mutants_of_the_hash(truth: Truth) -> None:
    table = truth.table
    assert logical_hash(changed(table, "Jet_pt", lambda values: None)) == truth.hash
    shuffled = table.take(np.random.default_rng(1).permutation(table.num_rows)).select(table.column_names[::-1])
    assert logical_hash(shuffled) == truth.hash
    doubled = pa.concat_tables([table, table.slice(5, 1)])
    mutants = {
        "one nested value": changed(table, "Jet_pt", one_nested_value),
        "two values swapped": changed(table, "HT", swapped),
        "null in a list": changed(table, "Jet_pt", null),
        "0 in a list": changed(table, "Jet_pt", zero),
        "a row doubled": doubled,
        "a row doubled, one lost": doubled.slice(1),
        "the other data set": changed(table, "dataset", swapped_names),
    }
    hashes = {name: logical_hash(mutant) for name, mutant in mutants.items()}
    assert len({truth.hash, *hashes.values()}) == 1 + len(mutants), hashes
    assert logical_hash(empty_table(truth.schema)) == LogicalHash()


def swapped_names(values: list[Any]) -> None:
    first, last = values.index("dy"), values.index("tt")
    values[first], values[last] = "tt", "dy"
