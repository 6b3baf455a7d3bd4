from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pytest

import dask_augment as da
from dask_augment.augmenters.function import Function, augmenter
from dask_augment.frames.check_output import PromiseBroken
from dask_augment.laws.sample import sample_events

EVENTS = sample_events(100, seed=6)
SCALE = 2.0


def scaled(x: Any) -> Any:
    return x * SCALE


@augmenter(uses=["Jet.pt"], produces={"HT": "float32"})
def ht(events: Any) -> Any:
    return scaled(ak.sum(events.Jet.pt, axis=1))


@augmenter(uses=["MET.pt"], produces={"MET.pt": None, "noise": "float64"}, keyed=True, use="training")
def smeared(events: Any, draw: Any) -> Any:
    noise = draw.normal(0)
    return {"MET.pt": np.asarray(events.MET.pt) + noise.astype(np.float32), "noise": noise}


def test_one_array() -> None:
    out = da.augment(EVENTS, ht)
    assert out.HT.to_list() == (ak.sum(EVENTS.Jet.pt, axis=1) * 2).to_list()
    assert ht.name == "ht"
    assert ht.uses() == {"Jet.pt"}
    assert ht(EVENTS).to_list() == out.HT.to_list()


def test_columns_by_name_and_draw() -> None:
    out = da.augment(EVENTS, smeared, seed=1, dataset="x", split=None)
    whole = np.asarray(out.noise)
    parts = [np.asarray(da.augment(EVENTS[i : i + 7], smeared, seed=1, dataset="x", split=None).noise)
             for i in range(0, 100, 7)]  # fmt: skip
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert len(np.unique(whole)) == 100
    np.testing.assert_array_equal(out.MET.pt, np.asarray(EVENTS.MET.pt) + whole.astype(np.float32))


def test_rows_to_keep() -> None:
    @augmenter(uses=["Jet.pt"], produces={}, keeps_rows=False)
    def two(events: Any) -> Any:
        return ak.num(events.Jet.pt) >= 2

    assert da.augment(EVENTS, two).event.to_list() == EVENTS[ak.num(EVENTS.Jet) >= 2].event.to_list()


def test_output() -> None:
    @augmenter(uses=[], produces={}, keeps_rows=False, makes="copies", use="training", name="doubled")
    def double(events: Any) -> Any:
        rows = np.arange(len(events))
        return da.Output({}, np.repeat(rows, 2), np.tile(np.array([0, 1], np.int32), len(rows)))

    out = da.augment(EVENTS, double, split=None)
    assert len(out) == 200
    assert double.name == "doubled"
    assert ak.sum(out.weight) == ak.sum(EVENTS.weight)


@pytest.mark.parametrize("result", [3, "text", None, [1.0]])
def test_other_results_are_refused(result: Any) -> None:
    @augmenter(uses=["Jet.pt"], produces={"x": "float64"})
    def wrong(events: Any) -> Any:
        return result

    with pytest.raises(TypeError, match=r"'wrong' must return its columns \['x'\] by name"):
        da.augment(EVENTS, wrong)


def test_wrong_type_is_refused() -> None:
    @augmenter(uses=["Jet.pt"], produces={"x": "float64"})
    def wrong(events: Any) -> Any:
        return ak.sum(events.Jet.pt, axis=1)

    with pytest.raises(PromiseBroken, match="'x' as float64 and returned float32"):
        da.augment(EVENTS, wrong)


def test_wrong_mask_is_refused() -> None:
    @augmenter(uses=["Jet.pt"], produces={}, keeps_rows=False)
    def wrong(events: Any) -> Any:
        return ak.num(events.Jet.pt)

    with pytest.raises(TypeError, match="one True or False for each of 100 events, it returned int64"):
        da.augment(EVENTS, wrong)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"uses": "Jet.pt"}, "uses must be a list"),
        ({"produces": ["x"]}, "each column with its type"),
        ({"makes": "clones", "keeps_rows": False}, "makes must be one of"),
        ({"makes": "copies"}, "keeps_rows=False only"),
        ({"makes": "copies", "keeps_rows": False}, "makes='copies' needs use=\"training\""),
        ({"use": "sometimes"}, "'always' or 'training'"),
        ({"keyed": True}, r"must take \(events, draw\), as it is keyed; it takes \(events"),
    ],
)
def test_bad_options(options: dict[str, Any], says: str) -> None:
    def f(events: Any) -> Any: ...

    with pytest.raises((TypeError, ValueError), match=says):
        augmenter(**{"uses": [], "produces": {"x": "float64"}, **options})(f)


def test_lambda_needs_a_name() -> None:
    with pytest.raises(TypeError, match="write def, or name="):
        augmenter(uses=[], produces={})(lambda events: events)
    with pytest.raises(TypeError, match="write def, or name="):
        augmenter(uses=[], produces={})(math.sqrt)


# Identity: the digest changes with the code and what it refers to.

SOURCE = """
import math
import numpy as np
from dask_augment import augmenter

CUT = {cut}
TABLE = np.arange({size})

class Tool:
    value = {value}

def helper(x):
    return x + {added}

@augmenter(uses=["MET.pt"], produces={{"x": "float64"}})
def f(events, shift={shift}):
    {comment}
    pt = np.asarray(events.MET.pt, dtype=np.float64)
    return np.array([helper(x) + CUT + TABLE[-1] + Tool.value + math.pi + shift for x in pt])
"""
USUAL = {"cut": 1, "size": 3, "value": 5, "added": 7, "shift": 0, "comment": "pass"}


def module(folder: Path, name: str, **changes: Any) -> Any:
    (folder / f"{name}.py").write_text(SOURCE.format(**{**USUAL, **changes}))
    sys.path.insert(0, str(folder))
    try:
        return __import__(name)
    finally:
        sys.path.remove(str(folder))


def test_digest_sees_what_the_function_refers_to(tmp_path: Path) -> None:
    first = module(tmp_path, "usual_one").f
    assert module(tmp_path, "usual_two").f == first
    changes: list[dict[str, Any]] = [
        {"cut": 2}, {"size": 4}, {"value": 6}, {"added": 8}, {"shift": 1}, {"comment": "'''other'''"}
    ]  # fmt: skip
    digests = {module(tmp_path, f"changed_{i}", **change).f.digest for i, change in enumerate(changes)}
    assert len({first.digest, *digests}) == len(changes) + 1


def test_digest_sees_enclosing_variables() -> None:
    def made(factor: float) -> Function:
        @augmenter(uses=["MET.pt"], produces={"x": "float32"})
        def f(events: Any) -> Any:
            return events.MET.pt * factor

        return f

    def with_default(factor: float) -> Function:
        @augmenter(uses=["MET.pt"], produces={"x": "float32"})
        def f(events: Any, factor: float = factor) -> Any:
            return events.MET.pt * factor

        return f

    for make in (made, with_default):
        assert make(1.0) == make(1.0) != make(2.0)


def test_what_cannot_be_seen_is_refused() -> None:
    stream = iter([1, 2])
    with pytest.raises(TypeError, match="'f' refers to 'stream', a list_iterator"):

        @augmenter(uses=[], produces={"x": "int64"})
        def f(events: Any) -> Any:
            return next(stream)


def test_no_source() -> None:
    names: dict[str, Any] = {}
    exec("def f(events): return events", names)  # noqa: S102
    with pytest.raises(ValueError, match="source of 'f' cannot be found"):
        augmenter(uses=[], produces={})(names["f"])


# Travel: a process that has neither the module nor the file.


def elsewhere(step: Function, folder: Path) -> list[Any]:
    """The column x that another process makes, in a folder of its own."""
    script = "import pickle, sys; step, events = pickle.load(sys.stdin.buffer)\n"
    script += "print(step.digest, [float(x) for x in step.apply(events, None).columns['x']])"
    folder.mkdir()
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", script], input=pickle.dumps((step, EVENTS[["MET"]][:3])), capture_output=True,
        cwd=folder, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    digest, _, values = done.stdout.decode().partition(" ")
    assert digest == step.digest
    return eval(values)


def test_function_of_a_loose_module_travels(tmp_path: Path) -> None:
    step = module(tmp_path, "loose_module").f
    assert elsewhere(step, tmp_path / "other") == step(EVENTS[:3]).tolist()


def test_function_of_a_file_travels(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(SOURCE.format(**USUAL))
    step = Function.from_file("mine.py:f", tmp_path)
    expected = step(EVENTS[:3]).tolist()
    (tmp_path / "mine.py").unlink()
    assert elsewhere(step, tmp_path / "other") == expected
    assert step.address == "mine.py:f"


def test_function_travels_to_dask_workers(client: Any) -> None:
    from dask_augment.contract.setting import Setting
    from dask_augment.frames.stage import Stage
    from dask_augment.frames.steps import labelled

    stage = Stage(labelled([ht]), Setting())
    assert client.submit(stage.run, EVENTS[["Jet"]]).result().HT.to_list() == ht(EVENTS).to_list()


# Files


def test_file_digest_is_that_of_its_text(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for folder in "ab":
        (tmp_path / folder / "mine.py").write_text(SOURCE.format(**USUAL))
    one, two = (Function.from_file("mine.py:f", tmp_path / folder) for folder in "ab")
    assert one == two
    (tmp_path / "b" / "mine.py").write_text(SOURCE.format(**USUAL) + "\n# more\n")
    assert Function.from_file("mine.py:f", tmp_path / "b") != one
    assert da.augment(EVENTS, one).x.to_list() == one(EVENTS).tolist()


def test_file_with_a_dataclass(tmp_path: Path) -> None:
    """Dataclasses look their own module up."""
    text = """
    from __future__ import annotations
    from dataclasses import dataclass
    from typing import ClassVar
    import numpy as np
    from dask_augment import augmenter

    @dataclass
    class Cut:
        at: float = 3.0
        kind: ClassVar[str] = "upper"

    @augmenter(uses=["MET.pt"], produces={"x": "bool"})
    def f(events):
        return np.asarray(events.MET.pt) < Cut().at
    """
    (tmp_path / "mine.py").write_text(textwrap.dedent(text))
    step = pickle.loads(pickle.dumps(Function.from_file("mine.py:f", tmp_path)))
    assert da.augment(EVENTS, step).x.to_list() == (EVENTS.MET.pt < 3).to_list()


@pytest.mark.parametrize(
    ("address", "error", "says"),
    [
        ("mine.py", ValueError, "named 'my_file.py:function', got 'mine.py'"),
        ("mine:f", ValueError, "got 'mine:f'"),
        ("absent.py:f", FileNotFoundError, "absent.py cannot be read"),
        ("mine.py:g", TypeError, "'g' is not in it; augmenters in mine.py: f"),
        ("mine.py:helper", TypeError, "'helper' is not decorated with @augmenter"),
        ("broken.py:f", ImportError, "broken.py cannot be run: ModuleNotFoundError.*not files beside it"),
    ],
)
def test_bad_files(tmp_path: Path, address: str, error: type[Exception], says: str) -> None:
    (tmp_path / "mine.py").write_text(SOURCE.format(**USUAL))
    (tmp_path / "broken.py").write_text("import mine_beside_it\n")
    with pytest.raises(error, match=says):
        Function.from_file(address, tmp_path)


def test_error_on_a_worker_shows_the_line(tmp_path: Path) -> None:
    import traceback

    (tmp_path / "mine.py").write_text(SOURCE.format(**{**USUAL, "comment": "1 / len('')"}))
    try:
        Function.from_file("mine.py:f", tmp_path)(EVENTS)
    except ZeroDivisionError:
        assert "1 / len('')" in traceback.format_exc()
