"""A disk that is full, or read-only: a small file system of its own, mounted where only the test sees it."""

import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

OUTPUTS = ("raw/part.txt", "second.txt", "a.txt", "b.txt", "last.json", "dvc.lock")
BREAK = {
    "full": ("cat /dev/zero > filler || true", "rm filler"),
    "read-only": ("mount -o remount,ro .", "mount -o remount,rw ."),
}
STEPS = """
set -e
mount -t tmpfs -o size=64m none {disk}
cp -a {project}/. {disk}
cd {disk}
{runner} > /dev/null
sed -i 's/b: {{value: 4}}/b: {{value: 40}}/' params.yaml
{cause}
if {runner} > {disk}.failed 2>&1; then echo "did not fail"; exit 1; fi
{fix}
{runner} > {disk}.second 2>&1
cp -a . {disk}.after
"""


@pytest.mark.parametrize("runner", ["snakemake", "dvc repro"])
@pytest.mark.parametrize("fault", BREAK)
def test_when_the_cause_is_gone_the_same_command_completes(fault, runner, versioned, tmp_path, services, run):
    services.need("unshare", "mount")
    twin = Path(shutil.copytree(versioned, tmp_path / "twin"))
    (twin / "params.yaml").write_text(
        (twin / "params.yaml").read_text().replace("b: {value: 4}", "b: {value: 40}")
    )
    run(*runner.split(), cwd=twin)

    disk = tmp_path / "disk"
    disk.mkdir()
    cause, fix = BREAK[fault]
    steps = STEPS.format(disk=disk, project=versioned, runner=runner, cause=cause, fix=fix)
    run("unshare", "--mount", "bash", "-c", steps, cwd=tmp_path)
    after = tmp_path / "disk.after"
    assert {name: (after / name).read_bytes() for name in OUTPUTS} == {
        name: (twin / name).read_bytes() for name in OUTPUTS
    }
    # The stage that could not be recorded may run again; those that were finished may not.
    assert set((after / "ran.log").read_text().split()) == set((twin / "ran.log").read_text().split())
