import pytest

pytest.importorskip("executorch", reason="ExecuTorch is not installed: scripts/test_executorch runs these")
