"""What numbers were made from, by content."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spinloop.files import sha256_of


def lineage(parameters: Mapping[str, Any], **files: Path) -> dict[str, str]:
    """Kind of input → first 16 digits of its SHA-256.

    Args:
        parameters: values that the numbers depend on.
        files: what the numbers were made from, by kind, e.g. `weights`.
    """
    content = json.dumps(parameters, sort_keys=True, separators=(",", ":")).encode()
    digests = {"parameters": hashlib.sha256(content).hexdigest()[:16]}
    return digests | {kind: sha256_of(path) for kind, path in files.items()}


def sha256_of_parts(paths: Sequence[Path]) -> str:
    """One hash of 16 digits for the contents of several files, in their order."""
    return hashlib.sha256(" ".join(sha256_of(path) for path in paths).encode()).hexdigest()[:16]
