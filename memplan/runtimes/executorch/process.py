"""The process in which ExecuTorch's runtime runs: native code that may end it, or print what it likes."""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

from memplan.base.children import end_with_parent


def _main() -> None:
    """Run a program on made-up inputs; print its arenas and the digests of its outputs, run after run, on a last line of JSON.

    On stdin: a line of JSON with the method, the number of runs and a seed, then the program.
    """
    end_with_parent()
    import torch
    from executorch.exir._serialize._program import deserialize_pte_binary
    from executorch.runtime import Runtime

    asked = json.loads(sys.stdin.buffer.readline())
    data = sys.stdin.buffer.read()
    plans = deserialize_pte_binary(data).program.execution_plan
    arenas = next(p.non_const_buffer_sizes for p in plans if p.name == asked["method"])[1:]
    program = Runtime.get().load_program(data)  # a method reads the program as long as it lives
    method = program.load_method(asked["method"])
    torch.manual_seed(asked["seed"])
    infos = [method.metadata.input_tensor_meta(i) for i in range(method.metadata.num_inputs())]
    digests = []
    for _ in range(asked["runs"]):
        for output in method.execute([_values(info) for info in infos]):
            bits = output.contiguous().reshape(-1).view(torch.uint8).numpy()
            digests.append(hashlib.sha256(bits.tobytes()).hexdigest())
    print(json.dumps({"arenas": arenas, "digests": digests}))


def _values(info: Any) -> Any:
    """Values for an input: floats from -1 to 1, all of a small integer's range; zeros as wide integers, which may be indices."""
    import torch
    from executorch.exir.schema import ScalarType
    from executorch.exir.tensor import enum_to_scalar_map

    shape, dtype = tuple(info.sizes()), enum_to_scalar_map[ScalarType(info.dtype())]
    if dtype.is_floating_point:
        return (2 * torch.rand(shape) - 1).to(dtype)
    if dtype.itemsize > 2:
        return torch.zeros(shape, dtype=dtype)
    if dtype == torch.bool:
        return torch.randint(0, 2, shape).to(dtype)
    limits = torch.iinfo(dtype)
    return torch.randint(limits.min, limits.max + 1, shape, dtype=dtype)


if __name__ == "__main__":
    _main()
