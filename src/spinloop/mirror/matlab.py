"""MATLAB files whose bytes depend on their content only."""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy.io import savemat

# The first 116 bytes are free text; scipy writes the time of day there.
_HEADER = b"MATLAB 5.0 MAT-file, rendered".ljust(116)


def save_mat(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a MATLAB 5 file (which MATLAB 7.2 and older write too), not compressed."""
    stream = io.BytesIO()
    savemat(stream, dict(arrays))
    path.write_bytes(_HEADER + stream.getvalue()[len(_HEADER) :])
