"""How a stage uses the machine."""

from pydantic import Field

from spinloop.params.loader import Section


class RuntimeParams(Section):
    """Section `runtime`."""

    threads: int = Field(ge=1)
    """Threads of the numerical libraries in each stage; sums are split by it, so last bits depend on it."""
