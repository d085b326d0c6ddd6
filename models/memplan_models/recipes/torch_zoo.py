"""The torch recipes by name, and the models and graph JSON made from them."""

from __future__ import annotations

from collections.abc import Callable

from memplan.io.write_json import graph_text
from memplan.ir.graph import Graph
from memplan.ir.model import Model
from memplan_models.recipes import torch_cnns, torch_training, torch_transformers
from memplan_models.recipes.recipe import Recipe
from memplan_models.recipes.torch_builder import TorchRecipe

MODULES = (torch_transformers, torch_cnns, torch_training)


def torch_recipes() -> dict[str, TorchRecipe]:
    """Every torch recipe by name, sorted."""
    found = [recipe for module in MODULES for recipe in module.RECIPES]
    return {recipe.name: recipe for recipe in sorted(found, key=lambda r: r.name)}


def torch_graph_recipes() -> list[Recipe]:
    """The torch recipes as recipes of graphs."""

    def graph_of(recipe: TorchRecipe) -> Callable[[], Graph]:
        return lambda: torch_model(recipe).graph

    return [
        Recipe(r.name, r.family, r.dtype, r.paper, r.summary, graph_of(r)) for r in torch_recipes().values()
    ]


def torch_model(recipe: TorchRecipe) -> Model:
    """The recipe's model, with its module as the source: it can be executed."""
    from torch.export import ExportedProgram

    from memplan.torch.read import from_exported, from_fx

    built = recipe.build()
    if isinstance(built, ExportedProgram):
        return from_exported(built, name=recipe.name)
    return from_fx(built, name=recipe.name)


def graph_bytes(recipe: TorchRecipe) -> bytes:
    """The recipe's graph JSON."""
    return graph_text(torch_model(recipe).graph).encode()
