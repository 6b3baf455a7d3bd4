"""Make small wrong changes to the package, one at a time, and see that the tests next to them fail.

A test that no wrong change makes fail tests nothing. tools/mutants.toml holds the changes: each has a file, a text that
stands in it exactly once and what stands there instead, and the tests that must fail. A change is made in a copy of
src/ in a temporary folder, which comes first on PYTHONPATH; the checkout stays as it is.

    python tools/mutants.py --list
    python tools/mutants.py smote_k_minus_one iid_no_seed
    python tools/mutants.py --random 5 --seed 1
    python tools/mutants.py --all

First the tests of all that was chosen run on the package as it is, where they must pass. Exit code 1: a mutant survived;
2: a change does not apply, tests fail without it or cannot run, or no mutant has the name. Each takes about as long as
its tests, and half a minute more where compiled code changes.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = Path(__file__).with_suffix(".toml")
SOURCE, PACKAGE = "src", "dask_augment"
PYTEST = [sys.executable, *["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--tb", "line", "-m"], "not slow"]
PASSED, FAILED = 0, 1
"""Exit codes of pytest; all others say that it could not do its work."""


class CannotRun(Exception):
    """A mutant that does not apply, or tests that say nothing about it."""


@dataclass(frozen=True)
class Mutant:
    """A wrong change, and the tests that must fail with it."""

    name: str
    says: str
    """What is wrong then."""
    file: Path
    """Below the folder of the package."""
    old: str
    new: str
    tests: tuple[str, ...]
    """As pytest takes them, from the root."""

    def changed(self, package: Path) -> str:
        """The text of the file with the change; CannotRun unless the old text stands there exactly once."""
        path = package / self.file
        if not path.is_file():
            raise CannotRun(f"{self.name}: there is no file {self.file} in {PACKAGE}; mend [files] of {TABLE.name}")
        text = path.read_text(encoding="utf-8")
        if (times := text.count(self.old)) != 1:
            raise CannotRun(
                f"{self.name}: its old text stands {times} times in {self.file}, and must stand there once: "
                f"write it anew in {TABLE.name}\n    {self.old}"
            )
        return text.replace(self.old, self.new)


def mutants(table: Path = TABLE) -> dict[str, Mutant]:
    """All that the table holds, by name; CannotRun for what it says wrongly."""
    said = tomllib.loads(table.read_text(encoding="utf-8"))
    found = {}
    for name, entry in said["mutants"].items():
        if missing := {"says", "file", "old", "new", "tests"} ^ set(entry):
            raise CannotRun(f"{name}: it must have says, file, old, new and tests, and no more; see {sorted(missing)}")
        if entry["old"] == entry["new"] or not entry["tests"]:
            raise CannotRun(f"{name}: it changes nothing, or names no tests")
        tests = []
        for test in entry["tests"]:
            key, *function = test.split("::")
            if key not in said["tests"] or entry["file"] not in said["files"]:
                raise CannotRun(f"{name}: {key!r} is not in [tests], or {entry['file']!r} not in [files]")
            tests.append("::".join([f"tests/{said['tests'][key]}", *function]))
        file = Path(said["files"][entry["file"]])
        found[name] = Mutant(name, entry["says"], file, entry["old"], entry["new"], tuple(tests))
    return found


def run(tests: Sequence[str], source: Path) -> tuple[int, str]:
    """Exit code of pytest, and the end of what it prints, for these tests of the checkout, with the package that lies in ``source``."""
    with tempfile.TemporaryDirectory() as scratch:
        environment = os.environ | {
            "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1", "CI": "1",
            "HYPOTHESIS_STORAGE_DIRECTORY": scratch, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1",
        }  # fmt: skip
        where = subprocess.run(
            [sys.executable, "-c", f"import {PACKAGE}; print({PACKAGE}.__file__)"],
            env=environment, cwd=scratch, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if where.returncode == 0 and not Path(where.stdout.strip()).is_relative_to(source):
            raise CannotRun(f"{PACKAGE} is imported from {where.stdout.strip()}, in spite of PYTHONPATH={source}")
        done = subprocess.run([*PYTEST, *tests], env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode not in (PASSED, FAILED):
        raise CannotRun(f"pytest ends with code {done.returncode} on {' '.join(tests)}:\n{done.stdout[-2000:]}")
    return done.returncode, done.stdout[-2000:]


def survives(mutant: Mutant, root: Path = ROOT) -> bool:
    """Whether any of its tests passes with the change, which is made in a copy of the package."""
    package = root / SOURCE / PACKAGE
    text = mutant.changed(package)
    # numba's caches know of the file that a function is in, and not of those that it calls.
    compiled = ("*.nbi", "*.nbc") if "njit" in text else ()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder).resolve()
        shutil.copytree(package, source / PACKAGE, ignore=shutil.ignore_patterns("*.pyc", *compiled))
        (source / PACKAGE / mutant.file).write_text(text, encoding="utf-8")
        return any(run([test], source)[0] == PASSED for test in mutant.tests)


def chosen(known: Mapping[str, Mutant], arguments: argparse.Namespace) -> list[Mutant]:
    """The mutants that the command asks for."""
    if unknown := sorted(set(arguments.names) - set(known)):
        raise CannotRun(f"there is no mutant {unknown[0]!r}; --list shows those that there are")
    if arguments.all:
        return list(known.values())
    if arguments.random:
        names = random.Random(arguments.seed).sample(sorted(known), min(arguments.random, len(known)))
        return [known[name] for name in names]
    return [known[name] for name in arguments.names]


def tried(some: Sequence[Mutant]) -> bool:
    """Run them, print the table, and say whether all were killed."""
    for mutant in some:
        mutant.changed(ROOT / SOURCE / PACKAGE)
    tests = sorted({test for mutant in some for test in mutant.tests})
    code, printed = run(tests, ROOT / SOURCE)
    if code != PASSED:
        raise CannotRun(f"a test fails without any change, so that it says nothing about mutants:\n{printed}")
    left = []
    for mutant in some:
        began = time.monotonic()
        survived = survives(mutant)
        left += [mutant.name] if survived else []
        word = "SURVIVED" if survived else "killed"
        print(f"{mutant.name:32}{word:10}{time.monotonic() - began:6.0f} s  {' '.join(mutant.tests)}", flush=True)
    print(f"{len(some) - len(left)} of {len(some)} killed" + (f"; survived: {', '.join(left)}" if left else ""))
    return not left


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; see the top of this file."""
    parser = argparse.ArgumentParser(description="Make wrong changes in a copy of the package; its tests must fail.")
    parser.add_argument("names", nargs="*", help="mutants to run")
    parser.add_argument("--list", action="store_true", help="print all mutants, and whether each applies")
    parser.add_argument("--all", action="store_true", help="run all of them, which takes long")
    parser.add_argument("--random", type=int, metavar="N", help="run N of them, chosen at random")
    parser.add_argument("--seed", type=int, default=0, help="of the choice")
    given = parser.parse_args(arguments)
    try:
        known = mutants()
        if given.list:
            for mutant in known.values():
                mutant.changed(ROOT / SOURCE / PACKAGE)
                print(f"{mutant.name:32}{mutant.file!s:38}{mutant.says}")
            return 0
        some = chosen(known, given)
        if not some:
            parser.error("name some mutants, or say --list, --random N or --all")
        return 0 if tried(some) else 1
    except CannotRun as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
