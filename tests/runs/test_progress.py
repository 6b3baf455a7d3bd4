"""Who sees how far a run has come, and its result: in a terminal, a notebook, a script and a log."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from dask_augment.runs.run import run
from run_toys import plan, write

SCRIPT = """
import dask_augment as da
asked = da.Plan(inputs={{"files": {files!r}, "dataset": "tt"}}, steps=[da.Define(HT="sum(Jet.pt)")], seed=7)
result = da.run(asked, {out!r}{more})
"""


@pytest.fixture
def script(tmp_path: Path) -> Any:
    files = [write(tmp_path / "a.root", 0, 12)]
    return lambda more="": SCRIPT.format(files=files, out=str(tmp_path / "out"), more=more)


def on_a_terminal(source: str) -> str:
    """What a person sees of a program whose standard streams are a terminal."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen([sys.executable, "-c", source], stdout=theirs, stderr=theirs, env=environment) as program:
        os.close(theirs)
        seen = b""
        while True:
            try:
                more = os.read(ours, 65536)
            except OSError:  # the other side of a terminal is closed
                break
            if not more:
                break
            seen += more
    os.close(ours)
    assert program.returncode == 0, seen
    return seen.decode()


def test_bars_in_a_terminal(script: Any) -> None:
    seen = on_a_terminal(script() + "print(result)")
    assert "augmenting" in seen
    assert "1/1" in seen
    assert "tt" in seen
    assert "rows in" in seen, "the table of the command line"


def test_no_bars_where_nobody_looks_or_wants_them(
    script: Any, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert "augmenting" not in on_a_terminal(script(", quiet=True"))
    capfd.readouterr()
    run(plan(write(tmp_path / "b.root")), tmp_path / "b")
    assert capfd.readouterr() == ("", "")


def test_a_result_is_the_table_of_the_command_line(tmp_path: Path) -> None:
    steps = [{"select": "nJet >= 2"}]
    result = run(plan(write(tmp_path / "a.root"), steps=steps), tmp_path / "out")
    text = repr(result)
    assert str(result) == text
    assert [
        word for word in ("data set", "rows in", "dropped", "rows out", "sum of weight in") if word not in text
    ] == []
    assert f"pandas.read_parquet({str(result.path)!r})" in text
    assert result.manifest.logical_hash.hex() in text
    html = result._repr_html_()
    assert html.startswith("<pre")
    assert "rows in" in html


def test_bars_and_table_in_a_notebook(script: Any) -> None:
    """A real kernel: bars are a widget, and the last expression of a cell is shown as HTML."""
    manager = pytest.importorskip("jupyter_client.manager")
    kernel, client = manager.start_new_kernel(kernel_name="python3", extra_arguments=["--HistoryManager.enabled=False"])
    shown: list[dict[str, Any]] = []
    try:
        reply = client.execute_interactive(
            textwrap.dedent(script()) + "result", timeout=120, output_hook=lambda message: shown.append(message)
        )
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
    assert reply["content"]["status"] == "ok", reply["content"]
    data = [message["content"]["data"] for message in shown if "data" in message["content"]]
    assert any("application/vnd.jupyter.widget-view+json" in one for one in data), data
    assert any("rows in" in one.get("text/html", "") for one in data)
    assert not [one for one in shown if one["msg_type"] == "stream"], shown
