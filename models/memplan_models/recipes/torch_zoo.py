"""The torch recipes by name, and the models and graph JSON made from them."""

from __future__ import annotations

from memplan.emitters.json import graph_text
from memplan.model import Model
from memplan_models.recipes import torch_cnns, torch_training, torch_transformers
from memplan_models.recipes.torch_builder import TorchRecipe

MODULES = (torch_transformers, torch_cnns, torch_training)


def torch_recipes() -> dict[str, TorchRecipe]:
    """Every torch recipe by name, sorted."""
    found = [recipe for module in MODULES for recipe in module.RECIPES]
    return {recipe.name: recipe for recipe in sorted(found, key=lambda r: r.name)}


def torch_model(recipe: TorchRecipe) -> Model:
    """The recipe's model, with its module as the source: it can be executed."""
    from torch.export import ExportedProgram

    from memplan.importers.torch import from_exported, from_fx

    built = recipe.build()
    if isinstance(built, ExportedProgram):
        return from_exported(built, name=recipe.name)
    return from_fx(built, name=recipe.name)


def graph_bytes(recipe: TorchRecipe) -> bytes:
    """The recipe's graph JSON."""
    return graph_text(torch_model(recipe).graph).encode()
