"""How each zoo model is built: the architecture from its paper, in code of our own, without weights."""

from __future__ import annotations

from memplan_models.recipes import (
    cells,
    classic,
    detection,
    diffusion,
    int8,
    llm,
    matmul,
    mobile,
    nas,
    pyramid,
    randwire,
    recurrent,
    segmentation,
    speech,
    streaming,
    tiny,
    training_steps,
    transformer,
)
from memplan_models.recipes.recipe import Recipe

MODULES = (
    cells,
    classic,
    detection,
    diffusion,
    int8,
    llm,
    matmul,
    mobile,
    nas,
    pyramid,
    randwire,
    recurrent,
    segmentation,
    speech,
    streaming,
    tiny,
    training_steps,
    transformer,
)


def recipes() -> dict[str, Recipe]:
    """Every recipe by name, sorted. Those that are traced need torch."""
    from memplan_models.recipes.torch_zoo import torch_graph_recipes

    found = [recipe for module in MODULES for recipe in module.RECIPES] + torch_graph_recipes()
    return {recipe.name: recipe for recipe in sorted(found, key=lambda r: r.name)}
