"""How a stage uses the machine, and what it asks of a cluster."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, RootModel

from spinloop.params.loader import Section


class RuntimeParams(Section):
    """Section `runtime`."""

    threads: int = Field(ge=1)
    """Threads of the numerical libraries in each stage; sums are split by it, so last bits depend on it."""


Need = Literal["threads", "mem_mb", "runtime", "gpu"]


class NeedsParams(RootModel[dict[str, dict[Need, Annotated[int, Field(ge=0)]]]]):
    """Section `needs`: what a stage needs in place of its `meta` in dvc.yaml; nothing becomes stale by it.

    A key is a stage's name, without what stands behind its `@` (then it holds for all of them) or with it.
    """

    model_config = ConfigDict(frozen=True, strict=True)
