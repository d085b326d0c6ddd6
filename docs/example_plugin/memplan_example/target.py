"""A machine that does not exist: 64 KiB of scratchpad, aligned to 16 bytes, behind a slow link."""

from memplan import Compute, Memory, Target

TINY_NPU = Target(
    name="tiny-npu",
    memories=(
        Memory("scratchpad", capacity=64 * 1024, alignment=16, bandwidth=4e9),
        Memory("host", bandwidth=2e8),
    ),
    compute=Compute(default=1e11),
)
