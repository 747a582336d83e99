"""Section `fitting`: what a fit from the mean pose ends with is what its objective measures."""

import pytest

from spinloop.errors import UserError
from spinloop.params.fitting import FittingParams
from spinloop.params.loader import load_yaml, parse_section


@pytest.mark.parametrize("term", ["pose", "angle", "shape"])
def test_the_last_stage_from_the_mean_pose_has_the_objective_that_is_reported(repository, term):
    values = load_yaml(repository / "params.yaml")
    values["fitting"]["mean_start"]["stages"][-1][term] *= 2
    with pytest.raises(UserError, match=r"fitting\.mean_start: the last of stages .*; make them equal"):
        parse_section(values, "fitting", FittingParams, "params.yaml")
    values["fitting"]["weights"][term] *= 2
    fitting = parse_section(values, "fitting", FittingParams, "params.yaml")
    assert fitting.mean_start.stages[-1].model_dump(exclude={"n_iterations"}) == fitting.weights.model_dump()
