"""Free bodies from a small population."""

import numpy as np
import pytest

from spinloop.freebody.anny import load_anny
from spinloop.freebody.build import Sizes, build_free_bodies
from spinloop.freebody.report import figures


@pytest.fixture(scope="session")
def free_source():
    """Anny; its first load on a machine takes about a minute."""
    return load_anny()


@pytest.fixture(scope="session")
def free_bodies(free_source):
    """The three bodies, built once."""
    return build_free_bodies(free_source, Sizes(32, 24, 10), (18.0, 80.0), np.random.default_rng(0))


@pytest.fixture(scope="session")
def free_figures(free_bodies):
    """The content of the report."""
    return figures(free_bodies)
