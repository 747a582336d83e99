import pytest

from spinloop.params.datasets import MergeParams


@pytest.fixture
def merge_params() -> MergeParams:
    return MergeParams(max_distance=0.1, min_common_joints=3)
