"""Threads that call one module wait for each other."""

from __future__ import annotations

import threading
from typing import Any

from torch.fx import GraphModule


class Turn:
    """Hooks by which the threads that call a module wait for each other; a copy of the module has its own."""

    def __init__(self) -> None:
        self.lock = threading.RLock()

    def __reduce__(self) -> tuple[type[Turn], tuple[()]]:
        return Turn, ()

    def begin(self, module: Any, args: Any) -> None:
        """Before a call."""
        self.lock.acquire()

    def end(self, module: Any, args: Any, result: Any) -> None:
        """After a call, a failed one too."""
        self.lock.release()


def one_at_a_time(module: GraphModule) -> GraphModule:
    """The module, of which calls from several threads follow one another."""
    turn = Turn()
    module.register_forward_pre_hook(turn.begin)
    module.register_forward_hook(turn.end, always_call=True)
    return module
