"""All that memplan knows of ExecuTorch: from an edge program to a graph, and a plan into its memory planning."""

from importlib.util import find_spec

from memplan.base.errors import MemplanError


def require_executorch() -> None:
    """MemplanError where ExecuTorch is not installed: the other modules here import it."""
    if find_spec("executorch") is None:
        raise MemplanError("ExecuTorch is not installed", "pip install 'memplan[executorch]'")
