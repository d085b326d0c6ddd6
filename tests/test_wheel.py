"""What would be published: a wheel made of the source archive alone works in empty environments of every Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from packaging.metadata import Metadata

from memplan.base.version import __version__

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13")
PUBLISHED = {"CHANGELOG.md", "CITATION.cff", "LICENSE", "README.md", "SECURITY.md", "pyproject.toml"}
"""What a source archive has beside the code."""


def interpreter(version: str) -> str | None:
    """A Python of this version that starts, on the path or of pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    for candidate in (shutil.which(f"python{version}"), *pyenv.glob(f"versions/{version}.*/bin/python")):
        if candidate and not subprocess.run([candidate, "--version"], capture_output=True).returncode:
            return str(candidate)
    return None


def done(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """What a program says in a folder, with nothing of this process's environment but where packages are."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("PIP_") or name in ("HOME", "PATH")
    }
    return subprocess.run(
        [*map(str, command)], cwd=cwd, env=kept, capture_output=True, text=True, timeout=500
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("dist")
    made = done(sys.executable, "-m", "build", "--outdir", folder, ROOT, cwd=folder)
    assert made.returncode == 0, made.stdout + made.stderr
    yield folder


@pytest.mark.slow
def test_archives_hold_all_that_is_published(built: Path) -> None:
    (source,), (wheel,) = built.glob("*.tar.gz"), built.glob("*.whl")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= PUBLISHED
    with zipfile.ZipFile(wheel) as packed:
        (described,) = (name for name in packed.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = Metadata.from_email(packed.read(described), validate=True)
    assert str(metadata.version) == __version__ and metadata.license_expression == "Apache-2.0"
    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("version", PYTHONS)
def test_the_wheel_alone_works(built: Path, tmp_path: Path, version: str) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} is installed here")
    (wheel,) = built.glob("*.whl")
    assert done(python, "-m", "venv", "empty", cwd=tmp_path).returncode == 0
    pip = (tmp_path / "empty/bin/python", "-m", "pip", "install", "--quiet", "--no-compile")
    made = done(*pip, "-c", ROOT / "constraints.txt", wheel, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    memplan = tmp_path / "empty/bin/memplan"
    plan = done(memplan, "plan", "resnet8_int8", "--scratchpad", "MR", "--emit", "json,html", cwd=tmp_path)
    assert plan.returncode == 0 and "optimal for traffic" in plan.stdout, plan.stderr
    assert done(memplan, "check", "resnet8_int8", "resnet8_int8.plan.json", cwd=tmp_path).returncode == 0
    torch.export.save(torch.export.export(torch.nn.ReLU(), (torch.zeros(2),)), tmp_path / "relu.pt2")
    refused = done(memplan, "plan", "relu.pt2", cwd=tmp_path)
    assert refused.returncode == 2 and "pip install 'memplan[torch]'" in refused.stderr
