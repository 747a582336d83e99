"""Parameters of the pose prior."""

from typing import Annotated

from pydantic import Field

from spinloop.params.loader import Section


class PriorParams(Section):
    """Section `prior`: the mixture of body poses."""

    motion: list[str] | None
    """Folders or files of recorded motion to fit on; null takes the mixture that comes with the package."""
    n_components: Annotated[int, Field(ge=1, le=64)]
    """Gaussians in the mixture."""
    frames_per_clip: Annotated[int, Field(ge=1)]
    """At most so many evenly spaced frames of each clip are used (and their mirror images)."""
    floor_std_rad: Annotated[float, Field(gt=0, le=1)]
    """Added in quadrature to every angle's deviation: the error of turning recordings into SMPL's angles."""
    unseen_std_rad: Annotated[float, Field(gt=0, le=1)]
    """Deviation of the angles of joints that no recording has (hands, collars)."""
    seed: Annotated[int, Field(ge=0)]
    """Seed of the fit and of the clips held out to measure it."""
