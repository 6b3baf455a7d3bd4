"""Convert columns of categories to integers and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import awkward as ak
import numpy as np
from awkward.contents import Content, IndexedArray
from awkward.index import Index64
from numpy.typing import NDArray

from dask_augment.contract.ids import file_word
from dask_augment.events.columns import lookup, number, plain


def coded(
    events: ak.Array, name: str, rows: NDArray[np.int64] | slice = slice(None)
) -> tuple[NDArray[Any], dict[int, str]]:
    """Of these rows, a column of categories as integers, and the texts that these stand for if it holds texts.

    A text has the same integer everywhere, one of 63 bits that is made of its letters; integers and booleans are as they
    are. TypeError for anything else.
    """
    content = plain(lookup(events.layout, name))
    if content.is_option:
        raise TypeError(
            f"categorical column {name!r} may have missing values; fill them with a value of their own first"
        )
    if is_text(content):
        some = content if content.is_indexed else ak.str.to_categorical(ak.Array(content)).layout
        texts = ak.to_list(some.content)
        words = np.array([file_word(text) >> 1 for text in texts], np.int64)
        codes = words[np.asarray(some.index.data)][rows]
        there = set(codes.tolist())
        return codes, {word: text for word, text in zip(words.tolist(), texts, strict=True) if word in there}
    values = number(events, name, rows)
    if values.dtype.kind not in "iub":
        raise TypeError(
            f"categorical column {name!r} has type {values.dtype}, and categories are integers, booleans or texts: make it "
            "a feature, or number its values (Resampler('smotenc') does so with the columns of a table)"
        )
    return values, {}


def is_text(content: Content) -> bool:
    """Whether a column, plain, holds one text for each row, or which of some texts each row has."""
    inner = content.content if content.is_indexed else content
    return bool(inner.is_list and inner.parameter("__array__") == "string")


def decoded(codes: NDArray[np.int64], texts: Mapping[int, str], like: Content) -> Content:
    """The texts that these integers stand for, in the type of a column, plain."""
    known = sorted(texts)
    index = Index64(np.searchsorted(np.array(known, np.int64), codes))
    parameters = like.parameters if like.is_indexed else None
    found = IndexedArray(index, ak.to_layout([texts[code] for code in known]), parameters=parameters)
    return found if like.is_indexed else found.project()


def arrays_of(texts: Mapping[int, str]) -> dict[str, NDArray[Any]]:
    """Texts and their integers as arrays that are learned; none where there are no texts."""
    if not texts:
        return {}
    letters = [texts[code].encode() for code in sorted(texts)]
    return {
        "text_codes": np.array(sorted(texts), np.int64),
        "text_ends": np.cumsum([len(text) for text in letters]),
        "text_letters": np.frombuffer(b"".join(letters), np.uint8),
    }


def texts_of(learned: Mapping[str, NDArray[Any]]) -> dict[int, str]:
    """The texts and their integers among what was learned."""
    if "text_codes" not in learned:
        return {}
    letters, ends = learned["text_letters"].tobytes(), learned["text_ends"].tolist()
    starts: Sequence[int] = [0, *ends[:-1]]
    texts = [letters[start:end].decode() for start, end in zip(starts, ends, strict=True)]
    return dict(zip(learned["text_codes"].tolist(), texts, strict=True))
