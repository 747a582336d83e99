"""A few dozen damaged files of each kind; `make test-fuzz` tries hundreds."""

import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).parent / "hostile" / "fuzz.py"


@pytest.mark.slow
def test_damaged_files_are_read_or_are_one_line(tmp_path):
    command = [sys.executable, str(FUZZ), "--mutants", "24", "--table", str(tmp_path / "table.md")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    rows = [line for line in (tmp_path / "table.md").read_text().splitlines() if line.endswith("| 0 |")]
    assert len(rows) >= 30
