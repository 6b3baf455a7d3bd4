"""User, password and query of an input's URL open it, and are nowhere in what is hashed, stored or told."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dask_augment.dataset.publication import RunFailed
from dask_augment.inputs.find import find
from dask_augment.plans.plan import Plan, PlanError
from dask_augment.runs.run import dry_run, run
from run_toys import write

SECRETS = ("alice", "PASSWORD", "SIGNATURE")


class Guarded(SimpleHTTPRequestHandler):
    """Files for who has the password and the signature; ranges as storage serves them."""

    def do_GET(self) -> None:
        self._send(body=True)

    def do_HEAD(self) -> None:
        self._send(body=False)

    def _send(self, body: bool) -> None:
        path, _, query = self.path.partition("?")
        right = f"Basic {base64.b64encode(b'alice:PASSWORD').decode()}"
        if "SIGNATURE" not in query or self.headers.get("Authorization") != right:
            self.send_error(403)
            return
        file = Path(self.directory) / path.lstrip("/")
        if not file.is_file():
            self.send_error(404)
            return
        data = file.read_bytes()
        start, stop = 0, len(data)
        if asked := self.headers.get("Range"):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, stop = int(first), min(len(data), int(last or stop - 1) + 1)
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        if body:
            self.wfile.write(data[start:stop])

    def log_message(self, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    write(tmp_path / "a.root")
    write(tmp_path / "b.root", 100)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Guarded, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def plan(*addresses: str, steps: Any = ("select: nJet >= 1",), **more: Any) -> Plan:
    steps = [{"select": "nJet >= 1"}, {"define": {"HT": "sum(Jet.pt)"}}]
    return Plan.from_dict(
        {"inputs": {"files": list(addresses), "dataset": "tt"}, "seed": 1, "steps": steps, "split": None, **more}
    )


def address(server: str, file: str = "a.root", signature: str = "SIGNATURE1") -> str:
    return f"http://alice:PASSWORD@{server}/{file}?X-Amz-Signature={signature}"


def refuse_secrets(text: str) -> None:
    assert not [secret for secret in SECRETS if secret in text]


def test_secrets_open_files_and_are_nowhere(server: str, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    one = plan(address(server), address(server, "b.root"))
    result = run(one, tmp_path / "out")
    assert result.manifest.datasets["tt"].rows_in == 24
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            refuse_secrets(path.read_bytes().decode("latin1"))
    assert f"http://{server}/a.root" in (tmp_path / "out" / "_manifest.json").read_text()
    refuse_secrets(f"{result!r} {one!r} {one.to_dict()} {dry_run(one, tmp_path / 'other')}")
    again = plan(address(server, signature="SIGNATURE2"), address(server, "b.root", "SIGNATURE3"))
    assert again.digest == one.digest
    assert run(again, tmp_path / "out").already


def test_errors_tell_no_secrets(server: str, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    with pytest.raises(RunFailed, match=f"http://{server}/c.root") as error:
        run(plan(address(server, "c.root")), tmp_path / "out")
    link: BaseException | None = error.value
    while link is not None:
        refuse_secrets(f"{link} {link.args}")
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    done = run(plan(address(server), address(server, "c.root")), tmp_path / "out", max_bad_files=1)
    refuse_secrets((tmp_path / "out" / "_manifest.json").read_text() + repr(done.to_dict()))
    assert len(done.manifest.quarantined) == 1
    with pytest.raises(PlanError, match="lists a file twice") as twice:
        plan(address(server), address(server)).inputs.described()  # type: ignore[union-attr]
    refuse_secrets(str(twice.value))


def test_files_that_only_a_query_tells_apart_are_refused() -> None:
    inputs: Any = plan("http://host/get?file=a.root", "http://host/get?file=b.root").inputs
    with pytest.raises(
        PlanError, match="two input files are named 'http://host/get' and differ in the user or the query"
    ):
        find(inputs)
