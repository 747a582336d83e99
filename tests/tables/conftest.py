import pytest

from spinloop.params.datasets import CropsParams


@pytest.fixture
def crops_params() -> CropsParams:
    return CropsParams(size_px=64, margin=1.5, jpeg_quality=95)
