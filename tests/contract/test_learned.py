from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from dask_augment.contract.learned import Learned, load

ARRAYS = {"b": np.arange(3), "a": np.array([[1.5, np.nan]]), "names": np.array(["x", "yz"]), "flag": np.array(True)}


def some() -> Learned:
    return Learned(ARRAYS)


def test_mapping() -> None:
    learned = some()
    assert list(learned) == ["a", "b", "flag", "names"]
    assert len(learned) == 4
    np.testing.assert_array_equal(learned["a"], ARRAYS["a"])
    assert learned.nbytes == sum(array.nbytes for array in ARRAYS.values())
    assert "b: int64[3]" in repr(learned)


def test_read_only_and_a_copy() -> None:
    mine = np.arange(3)
    learned = Learned({"x": mine})
    mine[0] = 9
    assert learned["x"].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="read-only"):
        learned["x"][0] = 9


def test_equality_is_that_of_contents() -> None:
    assert some() == Learned(dict(reversed(ARRAYS.items())))
    assert hash(some()) == hash(some())
    assert Learned({"x": np.asfortranarray(np.eye(3))}) == Learned({"x": np.eye(3)})
    others = [
        {**ARRAYS, "b": np.array([0, 1, 3])}, {**ARRAYS, "b": np.arange(3, dtype=np.int32)},
        {**ARRAYS, "b": np.arange(3)[None]}, {**ARRAYS, "c": np.arange(3)}, {"a": ARRAYS["a"]},
    ]  # fmt: skip
    digests = {Learned(other).digest for other in others}
    assert len(digests | {some().digest}) == len(others) + 1
    assert some() != "text"


def test_objects_are_refused() -> None:
    with pytest.raises(TypeError, match="'x' has dtype object"):
        Learned({"x": np.array([{}, None])})


def test_pickle_whole() -> None:
    again = pickle.loads(pickle.dumps(some()))
    assert again == some()
    assert not again["b"].flags.writeable


def test_put_and_pickle_by_address(tmp_path: Path) -> None:
    large = Learned({"x": np.random.default_rng(1).random(100_000)}).put(str(tmp_path / "deep" / "folder"))
    assert [file.name for file in (tmp_path / "deep" / "folder").iterdir()] == [f"{large.digest}.npz"]
    text = pickle.dumps(large)
    assert len(text) < 1000
    load.cache_clear()
    again = pickle.loads(text)
    assert again == large
    assert pickle.loads(text) is again, "loaded once per process"
    assert len(pickle.dumps(again)) < 1000


def test_put_twice_writes_once(tmp_path: Path) -> None:
    some().put(str(tmp_path))
    file = tmp_path / f"{some().digest}.npz"
    written = file.stat().st_mtime_ns
    some().put(f"{tmp_path}/")
    assert file.stat().st_mtime_ns == written
    assert len(list(tmp_path.iterdir())) == 1


def test_bytes() -> None:
    assert Learned.from_bytes(some().to_bytes()) == some()


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        Learned.from_bytes((tmp_path / "x.npz").read_bytes())


def test_load_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="workers must see the folder"):
        load(str(tmp_path), "0" * 64)
    (tmp_path / f"{'1' * 64}.npz").write_bytes(some().to_bytes())
    with pytest.raises(ValueError, match=f"have digest {some().digest}, expected 1111"):
        load(str(tmp_path), "1" * 64)


def test_key_is_kept_beside_the_arrays() -> None:
    keyed = some().under("seed 1")
    assert keyed.key == "seed 1"
    assert some().key == ""
    assert len({keyed.digest, some().digest, some().under("seed 2").digest}) == 3
    assert list(keyed) == list(some())
    for again in (pickle.loads(pickle.dumps(keyed)), Learned.from_bytes(keyed.to_bytes())):
        assert again == keyed
        assert again.key == "seed 1"
    with pytest.raises(ValueError, match="cannot be named '__key__'"):
        Learned({"__key__": np.arange(2)})
