"""The process in which ExecuTorch's runtime runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from memplan.runtimes.native import RUNS, answer, digests, made_up


def _run(asked: dict[str, Any], data: bytes) -> list[dict[str, Any]]:
    """What each program, one after another in `data`, asks for, and what it computes on made-up inputs, run after run."""
    return [_executed(program, asked["method"], asked["seed"]) for program in _split(data, asked["sizes"])]


def _split(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    for size in sizes:
        yield data[:size]
        data = data[size:]


def _executed(data: bytes, name: str, seed: int) -> dict[str, Any]:
    import numpy as np
    import torch
    from executorch.exir._serialize._program import deserialize_pte_binary
    from executorch.exir.schema import ScalarType
    from executorch.exir.tensor import enum_to_scalar_map
    from executorch.runtime import Runtime

    def values(info: Any) -> Any:
        wanted = enum_to_scalar_map[ScalarType(info.dtype())]
        known = torch.float32 if wanted == torch.bfloat16 else wanted  # numpy has no bfloat16
        dtype = np.dtype(str(known).removeprefix("torch."))
        return torch.from_numpy(made_up(rng, tuple(info.sizes()), dtype)).to(wanted)

    plans = deserialize_pte_binary(data).program.execution_plan
    arenas = next(p.non_const_buffer_sizes for p in plans if p.name == name)[1:]
    program = Runtime.get().load_program(data)  # a method reads the program as long as it lives
    method = program.load_method(name)
    rng = np.random.default_rng(seed)
    infos = [method.metadata.input_tensor_meta(i) for i in range(method.metadata.num_inputs())]
    found = []
    for _ in range(RUNS):
        outputs = method.execute([values(info) for info in infos])
        found += digests(x.contiguous().reshape(-1).view(torch.uint8).numpy() for x in outputs)
    return {"arenas": arenas, "digests": found}


if __name__ == "__main__":
    answer(_run)
