"""How a stage uses the machine, and what it asks of a cluster."""

from typing import Annotated

from pydantic import ConfigDict, Field, RootModel

from spinloop.params.loader import Count, Section


class RuntimeParams(Section):
    """Section `runtime`."""

    threads: Count
    """Threads of the numerical libraries in each stage; sums are split by it, so last bits depend on it."""


class StageNeeds(Section):
    """What one stage needs; what is not named here stays as it is elsewhere."""

    threads: Count | None = None
    """Processor cores."""
    mem_mb: Count | None = None
    """Memory."""
    runtime: Count | None = None
    """Minutes; a cluster ends the job after them."""
    gpu: Annotated[int, Field(ge=0)] | None = None
    """GPUs; 0 takes from one stage what all of its name have."""


class NeedsParams(RootModel[dict[str, StageNeeds]]):
    """Section `needs`: what a stage needs in place of its `meta` in dvc.yaml; nothing becomes stale by it.

    A key is a stage's name, without what stands behind its `@` (then it holds for all of them) or with it.
    """

    model_config = ConfigDict(frozen=True, strict=True)
