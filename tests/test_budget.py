"""A quick test that takes much CPU fails; waiting, other processes, compiling, fixtures and slow tests do not count."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

TESTS = """
import subprocess, sys, time
import budget, numba, pytest

budget.MOST, budget.WORTH_TELLING = 0.1, 0.0

def burn():
    end = time.process_time() + 0.5
    while time.process_time() < end:
        pass

@pytest.fixture(scope="module")
def dear():
    burn()

def test_burns():
    burn()

@pytest.mark.slow
def test_may_burn():
    burn()

def test_waits():
    time.sleep(0.2)

def test_starts_another():
    subprocess.run([sys.executable, "-S", "-c", "import time\\nwhile time.process_time() < 0.6: pass"], check=True)

def test_compiles():
    before = budget.COMPILING.seconds
    numba.njit("f8(f8)")(lambda a: a + 1)
    assert budget.COMPILING.seconds > before + budget.MOST

def test_prepares(dear):
    pass
"""


def test_a_quick_test_that_costs_much_fails(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow: slow\n")
    command = [sys.executable, "-m", "pytest", "-p", "budget", "-p", "no:cacheprovider", "test_some.py"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment |= {"PYTHONPATH": str(Path(__file__).parent), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    printed = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False).stdout
    assert "1 failed, 5 passed" in printed
    assert re.search(r"test_burns took 0\.\d s of CPU, and a test that is not marked slow may take 0\.1: ", printed)
    lines = re.findall(r"(\S+) s +(\S+) s .*::(\w+)$", printed, re.MULTILINE)
    told = {name: (float(own), float(others)) for own, others, name in lines}
    assert told["test_burns"][0] >= 0.5
    assert told["test_starts_another"][1] >= 0.5
    assert told["test_prepares"][0] >= 0.5
    assert max(told["test_waits"]) < 0.1
