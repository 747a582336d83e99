"""A disk that is full: one error that names the file, no half of a file."""

import subprocess
import sys

import pytest

# Each writes far more than the process may. RLIMIT_FSIZE ends a write as a full disk does.
PROGRAM = """
import resource, sys
from pathlib import Path
import numpy as np
path, writer = Path(sys.argv[1]), sys.argv[2]

def parquet():
    from spinloop.tables.records import Record, save_records
    row = dict(image="a.png", image_height=9, image_width=9, center=np.ones(2), scale=1.0)
    rng = np.random.default_rng(0)
    joints = lambda: np.append(rng.random((24, 2)), np.ones((24, 1)), 1)
    save_records(path, (Record(f"s/a#{n}", keypoints=joints(), **row) for n in range(9000)))

def fits():
    from spinloop.tables.fits import FitStore
    FitStore([str(n) for n in range(3000)]).save(path)

def hdf5_bit_by_bit():
    from spinloop.files.hdf5 import hdf5_output
    with hdf5_output(path) as file:
        data = file.create_dataset("a", (0, 100), "f8", maxshape=(None, 100), chunks=(7, 100))
        for row in range(3000):
            data.resize(row + 1, axis=0)
            data[row] = row

def mat73():
    from spinloop.datasets.matlab import write_mat73
    write_mat73(path, {"a": np.random.default_rng(0).random((900, 900))})

def torch_weights():
    import torch
    from spinloop.files import output
    with output(path) as stream:
        torch.save({str(n): torch.randn(100, 100) for n in range(99)}, stream)

def npz():
    from spinloop.files import output
    with output(path) as stream:
        np.savez(stream, a=np.random.default_rng(0).random((900, 900)), b=np.ones(99))

def npz_packed():
    from spinloop.motion.mixture import Mixture, save_mixture
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(8, 69, 69))
    covars = factors @ factors.transpose(0, 2, 1)
    save_mixture(path, Mixture(rng.normal(size=(8, 69)), covars, np.full(8, 1 / 8)), {})

def json_text():
    from spinloop.files import write_json
    write_json(path, list(range(99999)))

def bytes_of_pictures():
    from spinloop.files import atomic
    with atomic(path) as temporary:
        temporary.write_bytes(bytes(10**6))

write = globals()[writer]
write()
path.unlink()
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    write()
except OSError as error:
    print(error.filename, error.errno)
"""
WRITERS = ("parquet", "fits", "hdf5_bit_by_bit", "mat73", "torch_weights", "npz", "npz_packed", "json_text",
           "bytes_of_pictures")  # fmt: skip


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_one_error_of_the_file(tmp_path, writer):
    path = tmp_path / "out.bin"
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", PROGRAM, str(path), writer],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(path), "27"]
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []
