"""Writing files so that no reader ever sees half of one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from memplan.errors import MemplanError


def write_atomic(path: Path, content: str | bytes) -> Path:
    """Write `content` beside `path` under a temporary name, then rename it; returns `path`."""
    data = content.encode() if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(temporary, 0o666 & ~umask)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise MemplanError(f"cannot write '{path}': {error.strerror or error}",
                           "choose a folder you may write to with -o") from error  # fmt: skip
    return path
