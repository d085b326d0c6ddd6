"""ExecuTorch carries out plans: edge programs as models, a pass for its lowering, and its own count of the bytes."""

from memplan.torch.executorch import require_executorch

require_executorch()

from memplan.runtimes.executorch.measure import measure  # noqa: E402
from memplan.torch.executorch.planning import planning_pass  # noqa: E402
from memplan.torch.executorch.read import from_edge  # noqa: E402

__all__ = ["from_edge", "measure", "planning_pass"]
