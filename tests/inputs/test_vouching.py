"""A published folder as input: what is no longer as it was published is refused, what nobody vouches for is told."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest

from dask_augment.dataset.layout import MANIFEST
from dask_augment.inputs.paths import below
from dask_augment.inputs.vouching import held_to_manifests
from dask_augment.plans.plan import PlanError
from dask_augment.runs.run import dry_run, run
from run_toys import plan, write

KEPT = {"keep": ["Jet.pt"]}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    fileset = {name: {"files": [write(folder / f"{name}.root", 100 * n)]} for n, name in enumerate(("wz", "qcd"))}
    run(plan(inputs={"fileset": fileset}, output=KEPT), folder / "a")
    return folder / "a"


@pytest.fixture
def a(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return Path(shutil.copytree(published, tmp_path / "here" / "a"))


def ask(inputs: dict[str, Any]) -> Any:
    return run(plan(inputs=inputs, steps=[{"define": {"H2": "HT * 2"}}]), "../b")


def missing(a: Path) -> None:
    (a / "dataset=qcd" / "part-000000.parquet").unlink()


def gone(a: Path) -> None:
    shutil.rmtree(a / "dataset=qcd")


def foreign(a: Path) -> None:
    shutil.copy(a / "dataset=wz" / "part-000001.parquet", a / "dataset=wz" / "more.parquet")


def truncated(a: Path) -> None:
    path = a / "dataset=wz" / "part-000001.parquet"
    path.write_bytes(path.read_bytes()[:-1])


def rotten(a: Path) -> None:
    path = a / MANIFEST
    path.write_text(path.read_text().replace('"seed":7', '"seed":8'))


INPUTS: list[dict[str, Any]] = [
    {"folder": "a"},
    {"folder": Path("a")},
    {"folder": "."},
    {"folder": "a/dataset=wz"},
    {"files": "a/**/*.parquet", "dataset": "all"},
    {"files": ["a/dataset=wz/part-000001.parquet"], "dataset": "wz"},
    {"fileset": {"wz": {"files": ["a/dataset=wz/*.parquet"]}}},
]


@pytest.mark.parametrize("inputs", INPUTS, ids=str)
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (missing, r"a/ is not what its manifest says: dataset=qcd/part-000000.parquet is missing; "),
        (gone, r"a/ is not what its manifest says: dataset=qcd/part-000000.parquet is missing; "),
        (foreign, r"a/ is not what its manifest says: dataset=wz/more.parquet is not in the manifest; "),
        (
            truncated,
            r"a/ is not what its manifest says: dataset=wz/part-000001.parquet has \d+ bytes, the manifest says",
        ),
        (rotten, r"a/ is read as an input, and .*_manifest.json is damaged"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_not_as_published_is_refused(a: Path, inputs: dict[str, Any], change: Any, why: str) -> None:
    change(a)
    with pytest.raises(PlanError, match=f"^{why}"):
        ask(inputs)


def test_every_file_gone(a: Path) -> None:
    """Of a folder of two data sets one has lost all of its files."""
    shutil.copytree(a, a.parent / "c")
    for path in (a.parent / "c").rglob("*.parquet"):
        path.unlink()
    with pytest.raises(PlanError, match=r"^c/ is not what its manifest says: .* \(the first of 2 faults\)"):
        ask({"folder": "."})


def test_from_inside_a_hive_folder(a: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing(a)
    monkeypatch.chdir(a / "dataset=wz")
    with pytest.raises(PlanError, match="is missing"):
        ask({"files": "*.parquet", "dataset": "wz"})


def test_by_the_url_of_a_path(a: Path) -> None:
    missing(a)
    root = a.absolute().as_uri()
    for inputs in ({"folder": root}, {"files": f"{root}/dataset=wz/*.parquet", "dataset": "wz"}):
        with pytest.raises(PlanError, match=r"^a/ is not what its manifest says: .* is missing"):
            ask(inputs)


@pytest.fixture
def afar(a: Path) -> Iterator[Callable[[], str]]:
    """Puts the data set where only an address leads, and gives that."""
    system = fsspec.filesystem("memory")

    def put() -> str:
        system.put(str(a), "/published/a", recursive=True)
        return "memory://published/a"

    yield put
    system.rm("/published", recursive=True)


@pytest.mark.parametrize("inside", ["", "/", "/dataset=wz"])
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (missing, r"is not what its manifest says: dataset=qcd/part-000000.parquet is missing; "),
        (foreign, r"is not what its manifest says: dataset=wz/more.parquet is not in the manifest; "),
        (truncated, r"is not what its manifest says: dataset=wz/part-000001.parquet has \d+ bytes, the manifest says"),
        (rotten, r"is read as an input, and memory://published/a/_manifest.json is damaged"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_folder_by_its_address_is_held_to_its_manifest(
    a: Path, afar: Any, inside: str, change: Any, why: str
) -> None:
    change(a)
    with pytest.raises(PlanError, match=f"^memory://published/a/ {why}"):
        ask({"folder": afar() + inside})


def test_what_is_as_published_is_read_by_its_address_without_a_word(a: Path, afar: Any) -> None:
    (a / "notes.txt").touch()
    result = ask({"folder": afar()})
    assert result.rows == 24
    assert result.warnings == ()


def test_several_data_sets_by_one_address(a: Path, afar: Any) -> None:
    folder = afar().removesuffix("/a")
    assert ask({"folder": folder}).warnings == ()
    fsspec.filesystem("memory").rm("/published/a/dataset=qcd", recursive=True)
    with pytest.raises(PlanError, match=r"^memory://published/a/ is not what its manifest says: dataset=qcd"):
        ask({"folder": folder})


def test_nothing_vouches_for_a_folder_by_its_address_without_a_manifest(a: Path, afar: Any) -> None:
    (a / MANIFEST).unlink()
    (said,) = ask({"folder": afar()}).warnings
    assert said.startswith("memory://published/a/ has no _manifest.json, so its files cannot be checked")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Nothing."""


def test_a_folder_by_http(a: Path) -> None:
    """A server writes = as %3D, and lists no sizes."""
    pytest.importorskip("aiohttp")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(a.parent)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    folder = f"http://127.0.0.1:{server.server_address[1]}/a"
    try:
        assert held_to_manifests([], folder) == []
        assert [parts for _, parts in below(folder, ".")] == [
            ["dataset=qcd", "part-000000.parquet"], ["dataset=wz", "part-000001.parquet"]
        ]  # fmt: skip
        truncated(a)
        with pytest.raises(
            PlanError, match=rf"^{folder}/ is not what its manifest says: dataset=wz/part-000001.parquet has"
        ):
            held_to_manifests([], folder)
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("inputs", INPUTS[:4], ids=str)
def test_what_is_as_published_is_read_without_a_word(a: Path, inputs: dict[str, Any]) -> None:
    (a / ".DS_Store").touch()
    (a / "notes.txt").touch()
    result = ask(inputs)
    assert result.rows == (12 if "dataset=wz" in str(inputs["folder"]) else 24)
    assert result.warnings == ()


def test_nothing_vouches_for_a_folder_without_a_manifest(a: Path) -> None:
    (a / MANIFEST).unlink()
    asked = plan(inputs={"folder": "a"}, steps=[{"define": {"H2": "HT * 2"}}])
    said = dry_run(asked, "b")["warnings"]
    result = run(asked, "b")
    assert list(result.warnings) == said == result.to_dict()["warnings"]
    assert said[0].startswith("a/ has no _manifest.json, so its files cannot be checked")
    assert "warning a/ has no" in repr(result)
    assert run(asked, "b").warnings == result.warnings, "asked again, it is told again"


def test_files_of_others_need_no_manifest(a: Path) -> None:
    (a / MANIFEST).unlink()
    assert ask({"files": "a/**/*.parquet", "dataset": "all"}).warnings == ()
