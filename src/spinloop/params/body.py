"""Parameters of the body."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator

from spinloop.params.loader import Section

Engine = Literal["spinloop", "smplx"]


class BodyParams(Section):
    """Section `body`: the free body and the population that it is drawn from."""

    source: Literal["free", "smpl"]
    """Where the body comes from: `free` builds it from Anny, `smpl` reads your SMPL files."""
    smpl_folder: str | None
    """With `smpl`: folder with the three SMPL files (or subfolders with them) and SPIN's regressors."""
    engine: Engine
    """Which code poses meshes: ours, or smplx as the reference."""
    seed: Annotated[int, Field(ge=0)]
    """Seed of the population."""
    n_bodies: Annotated[int, Field(ge=50, le=5000)]
    """Adults drawn of each sex to find the mean and the shape directions."""
    n_rig_bodies: Annotated[int, Field(ge=50, le=5000)]
    """Bodies of each sex, of Anny's middle stature, on which the joint regressors are fitted."""
    n_held_out: Annotated[int, Field(ge=1, le=1000)]
    """Further bodies of each sex and kind on which the regressors are judged."""
    youngest_years: Annotated[float, Field(ge=18, le=110)]
    """Age of the youngest adult, years."""
    oldest_years: Annotated[float, Field(ge=18, le=110)]
    """Age of the oldest adult, years."""

    @field_validator("smpl_folder")
    @classmethod
    def _is_named_for_smpl(cls, folder: str | None, info: Any) -> str | None:
        if folder is None and info.data.get("source") == "smpl":
            raise ValueError("missing; name the folder of the SMPL files")
        return folder


class PosingParams(Section):
    """Of section `body` what a stage reads that only poses bodies which are there already."""

    model_config = ConfigDict(extra="ignore")

    engine: Engine
    """As in `BodyParams`, which checks the section's other keys."""
