"""A stage starts without what it does not use."""

import subprocess
import sys
from pathlib import Path

import spinloop.stages

# Anny, of which the free body is made, loads it.
WITH_COMPILER = {"prepare_body"}

IMPORT_ALL = """
import ast, importlib, pathlib, sys
for path in sys.argv[1:]:
    for node in ast.walk(ast.parse(pathlib.Path(path).read_text())):
        if isinstance(node, ast.ImportFrom):
            importlib.import_module(node.module)
print([name for name in ("torch._dynamo", "matplotlib.pyplot", "sklearn") if name in sys.modules])
"""


def test_no_stage_loads_pytorchs_compiler_before_it_works():
    folder = Path(spinloop.stages.__file__).parent
    stages = {path.stem for path in folder.glob("[!_]*.py")} - WITH_COMPILER - {"fit_prior"}
    command = [sys.executable, "-c", IMPORT_ALL, *(str(folder / f"{name}.py") for name in sorted(stages))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
