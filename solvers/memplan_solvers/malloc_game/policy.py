"""The trained network that comes with the package."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path

from memplan.base.errors import OptionError
from memplan_solvers.malloc_game.network import Network, network_of

SHIPPED = "policy.safetensors"


@cache
def load_network(path: str = "") -> Network:
    """The network in a safetensors file, the shipped one by default; OptionError where it is none."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        data = (
            Path(path).read_bytes() if path else resources.files(__package__).joinpath(SHIPPED).read_bytes()
        )
        return network_of(load(data))
    except (OSError, SafetensorError, ValueError) as error:
        raise OptionError(
            f"policy '{path or SHIPPED}' cannot be read: {error}",
            "give a file that scripts/train_agent wrote",
        ) from error


def save_network(net: Network) -> bytes:
    """The network as a safetensors file."""
    from safetensors.numpy import save

    return save(dict(net._asdict()))
