from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

from dask_augment.events import columns as cols
from dask_augment.events import forms
from dask_augment.laws.sample import flattened, sample_events

NESTED = sample_events(50, seed=3)
BOTH = pytest.mark.parametrize("events", [NESTED, flattened(NESTED)], ids=["nested", "flat"])


@BOTH
def test_promised(events: ak.Array) -> None:
    types = forms.promised(events.layout, {"Jet.pt": None, "Jet.x": "int8", "Tau.y": "float32", "z": "4 * float32"})
    assert {name: str(kind) for name, kind in types.items()} == {
        "Jet.pt": "var * float32", "Jet.x": "var * int8", "Tau.y": "float32", "z": "4 * float32",
    }  # fmt: skip
    with pytest.raises(ValueError, match="'flot' is not an awkward type"):
        forms.promised(events.layout, {"x": "flot"})


@pytest.mark.parametrize("text", ["int8", "bool", "var * float32", "3 * float64", "?int64", "var * var * int8"])
def test_zeros(text: str) -> None:
    kind = forms.promised(NESTED.layout, {"x": text})["x"]
    content = forms.zeros(kind, 4)
    assert content.length == 4
    assert str(content.form.type) == text
    assert not ak.any(ak.Array(content), axis=None)


def test_zeros_of_records_are_refused() -> None:
    with pytest.raises(TypeError, match="columns hold numbers"):
        forms.zeros(ak.types.from_datashape("{x: int8}", highlevel=False), 1)


@BOTH
def test_shape_only_is_the_form_of_assemble(events: ak.Array) -> None:
    types = forms.promised(events.layout, {"Jet.x": "float32", "y": "int8"})
    tracer = forms.typetracer(events)
    values = {
        "Jet.x": cols.as_content(ak.values_astype(cols.only(events, ["Jet.pt"]).Jet.pt, "float32")),
        "y": cols.as_content(np.zeros(50, np.int8)),
    }
    for source in (None, np.array([0, 0, 1])):
        taken = values if source is None else {name: cols.plain(content[source]) for name, content in values.items()}
        out = cols.assemble(events, taken, source)
        shape = forms.shape_only(tracer, types, keeps_rows=source is None)
        assert str(shape.type.content) == str(out.type.content)


def test_empty() -> None:
    assert len(forms.empty(NESTED)) == 0
    assert str(forms.empty(NESTED).type.content) == str(NESTED.type.content)
