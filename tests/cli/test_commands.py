"""The command line: what it prints, writes and returns, and that an error is one sentence."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from dask_augment.augmenters import TABLE
from dask_augment.cli import commands
from dask_augment.cli.manual import PURPOSES
from dask_augment.dataset.sink import StagingGone
from dask_augment.events.columns import MissingColumn
from run_toys import write

STEPS: list[Any] = [{"split": {"train": 0.5}}, {"repeat": {"n": 1}}]
FAST = ["--where", "synchronous"]


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_plan(tmp_path)


def write_plan(folder: Path, name: str = "plan.yaml", **other: Any) -> Path:
    files = [write(folder / "a.root", 0, 12), write(folder / "b.root", 12, 9)]
    values = {"inputs": {"tt[bar]": files}, "seed": 7, "steps": STEPS, "output": {"path": str(folder / "out")}} | other
    (folder / name).write_text(yaml.safe_dump(values))
    return folder / name


def call(*arguments: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """The whole program: exit code, output and errors."""
    monkeypatch.setattr(sys, "argv", ["dask-augment", *map(str, arguments)])
    capsys.readouterr()
    try:
        commands.main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    return code, *capsys.readouterr()


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    return lambda *arguments: call(*arguments, monkeypatch=monkeypatch, capsys=capsys)


def test_run_publishes_and_tells_how_to_read(planned: Path, program: Any) -> None:
    code, out, err = program("run", planned, *FAST)
    assert (code, err) == (0, "")
    assert "tt[bar]" in out
    assert f"pandas.read_parquet({str(planned.parent / 'out')!r})" in out
    assert (planned.parent / "out" / "_manifest.json").exists()
    code, out, _ = program("run", planned, *FAST)
    assert code == 0
    assert "This plan was published before; nothing was done." in out


def test_json_is_one_object(planned: Path, program: Any) -> None:
    code, out, err = program("run", planned, *FAST, "--json", "--output", planned.parent / "other")
    said = json.loads(out)
    assert (code, err) == (0, "")
    assert said["path"] == str(planned.parent / "other")
    assert said["datasets"]["tt[bar]"]["rows_in"] == 21
    assert said["warnings"] == []
    assert said["rows"] == 21 + said["datasets"]["tt[bar]"]["made"]["repeat"]
    dry = json.loads(program("run", planned, *FAST, "--json", "--dry-run")[1])
    assert dry["digest"] == said["digest"]
    report = json.loads(program("verify", planned.parent / "other", "--deep", "--json")[1])
    assert report["ok"]
    assert report["rows"] == said["rows"]
    assert {row["name"] for row in json.loads(program("list", "--json")[1])} >= set(TABLE)


def test_no_rows_left(planned: Path, program: Any) -> None:
    write_plan(planned.parent, steps=[{"select": "nJet > 1", "as": "two"}, {"select": "nJet > 99"}])
    code, out, err = program("run", planned, *FAST)
    assert (code, err) == (0, "")
    warning = "data set 'tt[bar]' has no rows left of 21: two dropped 11 rows, select dropped 10 rows"
    assert f"warning {warning}\n" in out
    assert json.loads(program("run", planned, *FAST, "--json")[1])["warnings"] == [warning]


def test_dry_run_writes_nothing(planned: Path, program: Any) -> None:
    before = set(planned.parent.iterdir())
    code, out, _ = program("run", planned, *FAST, "--dry-run", "--chunksize", 5)
    assert code == 0
    assert set(planned.parent.iterdir()) == before
    assert "Columns written: augment_copy, augment_kind, event," in out
    assert "Steps: split, repeat." in out
    assert f"Nothing was written; {planned.parent / 'out'} would be, and is free." in out


def test_other_plan_needs_replace(planned: Path, program: Any) -> None:
    assert program("run", planned, *FAST)[0] == 0
    write_plan(planned.parent, seed=8)
    code, _, err = program("run", planned, *FAST)
    assert code == 1
    assert "choose another path, or replace it (--replace)" in err
    assert program("run", planned, *FAST, "--replace")[0] == 0
    assert program("verify", planned.parent / "out")[0] == 0


def test_unfinished_run_goes_on_with_resume(planned: Path, program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from dask_augment.runs import run as running

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(running, "publish", interrupted)
        code, _, err = program("run", planned, *FAST)
    assert code == 130
    assert "stopped; what is done is kept: run the plan again with --resume" in err
    assert not (planned.parent / "out").exists()
    code, _, err = program("run", planned, *FAST)
    assert code == 1
    assert "an earlier run of this plan was not finished (2 of 2 parts done)" in err
    assert program("run", planned, *FAST, "--resume")[0] == 0


def test_verify_finds_what_is_wrong(planned: Path, program: Any) -> None:
    program("run", planned, *FAST)
    code, out, err = program("verify", planned.parent / "out", "--deep")
    assert (code, err) == (0, "")
    assert "as published" in out
    next((planned.parent / "out").rglob("*.parquet")).unlink()
    code, out, err = program("verify", planned.parent / "out")
    assert code == 1
    assert re.search(r"fault .*part-00000\d.parquet is missing", err)
    code, out, err = program("verify", planned.parent / "gone")
    assert code == 1
    assert "_manifest.json" in out + err


ERRORS = {
    "plan that is not there": (["run", "gone.yaml"], {}, "plan 'gone.yaml' is not there"),
    "unknown step": (["run", "plan.yaml"], {"steps": ["[bold]x"]}, "no augmenter is named '[bold]x'"),
    "file that is not there": (["run", "plan.yaml", *FAST], {"inputs": {"tt": ["gone.root"]}}, "input file 'gone.root'"),
    "folder that cannot be made": (["run", "plan.yaml", *FAST, "--output", "a.root/out"], {}, "a.root"),
    "place": (["run", "plan.yaml", "--where", "spark"], {}, "where must be a Dask client, cluster or address (tcp://...)"),
    "no output": (["run", "plan.yaml", *FAST], {"output": {}}, "the plan does not say where its output goes"),
    "augmenter": (["show", "phi"], {}, "no augmenter is named 'phi'"),
}  # fmt: skip


@pytest.mark.parametrize("case", ERRORS)
def test_error_is_a_sentence(case: str, planned: Path, program: Any) -> None:
    arguments, other, sentence = ERRORS[case]
    write_plan(planned.parent, **other)
    code, out, err = program(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("error ")
    assert sentence in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments", [["run"], ["run", "p", "--chunksize", "0"], ["no-such-command"], ["run", "p", "--nope"]]
)
def test_wrong_usage(arguments: list[str], program: Any) -> None:
    code, _, err = program(*arguments)
    assert code == 2
    assert "Usage" in err


@pytest.mark.parametrize("command", ["run", "list", "show", "verify", "clean", "demo", "generate"])
def test_help_explains_every_option(command: str) -> None:
    from typer.main import get_command

    explained = get_command(commands.app).commands[command]  # type: ignore[attr-defined]
    for parameter in explained.params:
        assert parameter.name == "help" or len(getattr(parameter, "help", "") or "") > 8, parameter.name
    assert CliRunner().invoke(commands.app, [command, "--help"]).exit_code == 0
    assert len(explained.help or "") > 20


def test_clean_removes_what_was_cut_off(
    planned: Path, program: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from dask_augment.runs import run as running

    program("run", planned, *FAST, "--output", tmp_path / "whole")
    with monkeypatch.context() as patched:
        patched.setattr(running, "publish", lambda *_, **__: sys.exit(9))
        assert program("run", planned, *FAST)[0] == 9
    (left,) = tmp_path.glob(".out.staging-*")
    assert "0 unfinished runs removed; none that is left is older than 7 days." in program("clean", tmp_path)[1]
    assert left.exists()
    code, out, err = program("clean", tmp_path, "--older-than", 0)
    assert (code, err) == (0, "")
    assert out == f"removing {left}\n1 unfinished run removed; none that is left is older than 0 days.\n"
    assert not left.exists()
    assert json.loads(program("clean", tmp_path, "--json")[1]) == {"removed": [], "left": {}}
    assert program("verify", tmp_path / "whole", "--deep")[0] == 0
    code, out, err = program("verify", planned)
    assert (code, out.strip()) == (1, f"{planned}: 1 fault")
    assert "it was not published by dask-augment" in err
    assert f"is a file: dask-augment run {planned} --dry-run" in program("show", planned)[2]
    code, _, err = program("clean", tmp_path / "gone")
    assert code == 1
    assert "is not there" in err


@pytest.mark.parametrize(
    ("error", "code"), [(StagingGone("too late"), 1), (MissingColumn("no column"), 1), (KeyError("a bug"), None)]
)
def test_what_is_told_in_a_sentence_and_what_is_a_bug(
    error: Exception, code: int | None, planned: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dask_augment.runs import run as running

    def fails(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(running, "run", fails)
    if code is None:
        with pytest.raises(type(error)):
            program("run", planned, *FAST)
    else:
        assert program("run", planned, *FAST) == (code, "", f"error {error}\n")


def test_version_and_no_arguments(program: Any) -> None:
    from dask_augment import __version__

    assert program("--version") == (0, f"dask-augment {__version__}\n", "")
    assert "Usage" in "".join(program()[1:])


def test_list_and_show(program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "out", Console(width=200, force_terminal=True, color_system=None))
    _, out, _ = program("list")
    assert all(name in out for name in TABLE)
    assert [line for line in out.splitlines() if line and line[0] != " "] == list(PURPOSES)
    _, out, _ = program("show", "phi_rotate")
    assert "    φ → φ + α, α ~ U[0, 2π), the same for all objects of an event\n" in out
    assert re.search(r"columns .* \[Jet.phi, Electron.phi, Muon.phi, MET.phi\] .* The azimuthal angles to rotate", out)
    assert "Reads Electron.phi, Jet.phi, MET.phi, Muon.phi; makes Jet.phi (of the type it has), " in out
    assert "use: training; event ids are read." in out
    for name in TABLE:
        assert program("show", name)[0] == 0


def test_show_a_data_set(planned: Path, program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run, and ``show`` of its folder, say what resampled strata are worth; the manifest of any run has it."""
    smote = {"smote": {"strata": ["few"], "features": ["MET.pt"], "k_neighbors": 1}}
    under = {"undersample": {"strata": ["few"], "sampling_strategy": {"few=0": 8, "few=1": 9}}}
    steps = [{"define": {"few": "nJet > 1"}}, {"split": {"train": 0.99}}, smote, under]
    write_plan(planned.parent, steps=steps)
    monkeypatch.setattr(commands, "out", Console(width=80, soft_wrap=False))
    _, run, _ = program("run", planned, *FAST)
    code, shown, err = program("show", planned.parent / "out")
    assert (code, err) == (0, "")
    table = r"smote: rows for training, .*\n(.*\n)+few=0 +11 +11 +11 +11 +11 *\nfew=1 +10 +11 +10 +10\.53 +10 +0\.\d{3} .*MET"
    for text in (run, shown):
        assert re.search(table, text), text
        assert re.search(r"undersample: rows for training, .*\n(.*\n)+few=0 +11 +8 ", text), text
    assert f"pandas.read_parquet({str(planned.parent / 'out')!r})" in shown
    said = json.loads(program("run", planned, *FAST, "--json")[1])["resampled"]
    again = ("--output", planned.parent / "again", "--chunksize", 5, "--json")
    assert json.loads(program("run", planned, *FAST, *again)[1])["resampled"] == said
    assert [entry["rows_after"] for entry in said["undersample"]] == [8, 9]
    assert program("show", planned.parent) == (
        1, "", f"error {planned.parent} has no _manifest.json: it was not published by dask-augment\n"
    )  # fmt: skip


def test_many_strata_are_not_all_shown_after_a_run() -> None:
    from dask_augment.contract.account import Account
    from dask_augment.dataset.hashing import LogicalHash
    from dask_augment.dataset.manifest import Manifest
    from dask_augment.runs.tables import show_resampled

    entry = {
        "rows_before": 5,
        "rows_after": 9,
        "events": 5.0,
        "by_rows": 1234.5,
        "train_weight_after": 9.0,
        "variance": {},
    }
    report = [{"stratum": f"process=[{i}]"} | entry for i in range(30)]
    manifest = Manifest(
        "", {}, [], (), (), 0, Account(), {}, LogicalHash.from_hex("0" * 48), extra={"resampled": {"o": report}}
    )
    text = {}
    for most in (20, None):
        console = Console(width=80, file=io.StringIO())
        show_resampled(console, manifest, most)
        text[most] = console.file.getvalue()
        assert "process=[19]" in text[most]
        assert "1,234" in text[most]
    assert "and 10 more strata: dask-augment show FOLDER tells of all" in text[20]
    assert "process=[20]" not in text[20]
    assert "process=[29]" in text[None]
    console = Console(width=80, file=io.StringIO())
    show_resampled(console, Manifest("", {}, [], (), (), 0, Account(), {}, manifest.logical_hash), 20)
    assert console.file.getvalue() == "", "a manifest of a release without reports"


@pytest.mark.parametrize(
    ("terminal", "quiet", "shown"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_bars_are_for_terminals(
    terminal: bool, quiet: bool, shown: bool, planned: Path, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(commands, "err", Console(file=screen, force_terminal=terminal, width=120))
    assert program("run", planned, *FAST, *(["--quiet"] if quiet else []))[0] == 0
    assert ("augmenting" in screen.getvalue()) is shown
    assert bool(screen.getvalue()) is shown


@pytest.mark.parametrize(("option", "shown"), [([], True), (["--quiet"], False), (["--json"], False)])
def test_stages_are_lines_off_a_terminal(option: list[str], shown: bool, planned: Path, program: Any) -> None:
    _, out, err = program("run", planned, *FAST, *option)
    assert ("augmenting ...\n" in out) is shown
    assert err == ""


@pytest.mark.parametrize(("terminal", "width"), [(False, 200), (True, 60)])
def test_list_has_one_line_for_each_step(
    terminal: bool, width: int, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name whole."""
    from dask_augment.cli.manual import summary
    from dask_augment.plans import registry

    screen = io.StringIO()
    console = Console(file=screen, width=width, force_terminal=terminal, color_system=None)
    monkeypatch.setattr(commands, "out", console)
    assert program("list")[0] == 0
    lines = [tuple(line.split(maxsplit=1)) for line in screen.getvalue().splitlines() if line.startswith("  ")]
    assert sorted(lines) == [(name, summary(registry.get(name))[2]) for name in registry.names()]


def test_a_broken_plugin_costs_one_line(program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    from dask_augment.plans import registry

    broken = {
        name: EntryPoint(name, value, registry.GROUP)
        for name, value in (("gone", "json:Nothing"), ("odd", "json:dumps"))
    }
    monkeypatch.setattr(registry, "_plugins", lambda: broken)
    code, out, err = program("list")
    assert code == 0
    assert all(name in out for name in TABLE)
    assert len(err.splitlines()) == 2
    assert "left out augmenter 'gone' of json:Nothing cannot be imported" in err
    assert "left out augmenter 'odd' is <function dumps" in err
    assert {entry["name"]: entry for entry in json.loads(program("list", "--json")[1])}["gone"]["error"]


def start(*arguments: Any, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "dask_augment", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def test_program_by_itself(tmp_path: Path) -> None:
    """A plan on two worker processes; off a terminal, a line is printed for each stage before its tables."""
    process = start("run", write_plan(tmp_path), folder=tmp_path)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert out.startswith("learning ids ...\naugmenting ...\nmerging small files ...\n")
    assert "Read it:" in out
    assert sorted(os.listdir(tmp_path)) == ["a.root", "b.root", "out", "plan.yaml"]


def test_generate_writes_a_fileset(program: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("pythia8mc")
    monkeypatch.chdir(tmp_path)
    asked = ("generate", "qcd", "--events", 4, "--output", "made", "--where", 1)
    code, out, err = program(*asked)
    assert (code, err) == (0, "")
    assert "In a plan:  inputs: {fileset: made/fileset.json}" in out
    fileset = json.loads((tmp_path / "made" / "fileset.json").read_text())
    assert fileset["qcd"]["files"] == {str(tmp_path / "made" / "qcd_0000.root"): "Events"}
    assert f"{fileset['qcd']['metadata']['xsec']:.6g}" in out
    with monkeypatch.context() as patched:
        patched.setattr("dask_augment.generator.generate.generate", lambda *_, **__: fileset)
        assert json.loads(program(*asked, "--json")[1]) == fileset
    code, out, err = program("generate", "ttbar", "--output", "made")
    assert (code, out) == (1, "")
    assert err.startswith("error no process is named 'ttbar'; there are wz")


@pytest.mark.parametrize("where", ["synchronous", "processes"])
def test_key_that_stops_it(where: str, tmp_path: Path) -> None:
    """It reaches every process of a terminal, and only one of them speaks."""
    slow = "import time\nfrom dask_augment import augmenter\n@augmenter(uses=['MET.pt'], produces={'x': 'float32'})\n"
    slow += "def slow(events):\n    open('started', 'w').close()\n    time.sleep(100)\n"
    (tmp_path / "slow.py").write_text(slow)
    plan = write_plan(tmp_path, steps=["slow.py:slow"])
    process = start("run", plan, "--where", where, folder=tmp_path)
    while not (tmp_path / "started").exists() and process.poll() is None:
        time.sleep(0.05)
    while process.poll() is None:
        # Python loses an interrupt that comes while a finaliser runs; a person would press the key again.
        os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "stopped; what is done is kept: run the plan again with --resume\n"
    assert not (tmp_path / "out").exists()
