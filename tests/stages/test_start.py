"""A stage starts without what it does not use."""

import subprocess
import sys
from pathlib import Path

import spinloop.stages

# Anny, of which the free body is made, brings it.
WITH_COMPILER = {"prepare_body"}

IMPORT_ALL = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(f"spinloop.stages.{name}")
print([name for name in ("torch._dynamo", "matplotlib.pyplot", "sklearn") if name in sys.modules])
"""


def test_no_stage_loads_pytorchs_compiler_before_it_works():
    folder = Path(spinloop.stages.__file__).parent
    stages = {path.stem for path in folder.glob("[!_]*.py")} - WITH_COMPILER - {"fit_prior"}
    command = [sys.executable, "-c", IMPORT_ALL, *sorted(stages)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
