"""The text of an exported program: what of its JSON torch may see without being made to run code by it."""

from __future__ import annotations

import ast
import json
import math
import re
from typing import Any

NAME = re.compile(r"[\w.:+/ -]*")
"""Names, versions, kinds of devices: no letters that could end a name in generated source, and no calls."""

STRING = re.compile(r"[\w.:+/ ,>=*|-]*")
"""Arguments of operators that are text: a mode, an einsum's equation."""

ATEN = re.compile(
    r"torch\.ops\.(aten|prims|quantized_decomposed|torchvision)"
    r"\.(_?[A-Za-z]\w*|__i?(?:and|or|xor|lshift|rshift)__)\.[A-Za-z]\w*"
)
FILE_OPS = {"from_file", "save"}
"""Operators of aten that read or write files."""

OTHERS = {
    "_operator": "add and_ eq floordiv ge getitem gt index le lt mod mul ne neg not_ or_ pos pow sub truediv",
    "math": "acos asin atan ceil cos cosh floor log2 sin sinh sqrt tan tanh trunc",
    "torch": "sym_float sym_int sym_ite sym_max sym_min sym_not sym_sqrt sym_sum _sym_sqrt",
    "torch.ops.higher_order": "associative_scan auto_functionalized auto_functionalized_v2 cond "
    "map_impl scan while_loop wrap_with_autocast wrap_with_set_grad_enabled",
}
"""Further functions that a program may call, by module."""

OPERATORS = {f"{module}.{name}" for module, names in OTHERS.items() for name in names.split()}

FUNCTIONS = frozenset(
    "Add And CeilDiv CeilToInt CleanDiv Equality Float FloatPow FloatTrueDiv FloorDiv FloorToInt GreaterThan Identity "
    "IntTrueDiv Integer IsNonOverlappingAndDenseIndicator LessThan Max Min Mod ModularIndexing Mul Not Or Pow "
    "PowByNatural PythonMod Rational RoundToInt StrictGreaterThan StrictLessThan ToFloat TruncToFloat TruncToInt "
    "Unequality Where".split()
)
"""Arithmetic in size expressions, as sympy's srepr and torch's own functions are called."""

SYMBOL = re.compile(r"[a-z]{1,4}\d{1,6}")
MOST_POWER = 64
"""Most that the exponents in an expression multiply to: numbers stay short."""

LONGEST_NUMBER = 2**64
LONGEST_EXPRESSION = 20_000

TREES = re.compile(
    r"builtins\.(tuple|list|dict)|collections\.OrderedDict|torch\.return_types\.\w+"
    r"|torch\.fx\.immutable_collections\.immutable_(list|dict)"
)


class Unsafe(Exception):
    """Something that an ordinary program has no need of; the message says what, to be said after "it is not read"."""


def clean_program(program: Any) -> Any:
    """The JSON of an exported program without its metadata and guards; Unsafe where it holds more than plain text."""
    if not isinstance(program, dict):
        raise Unsafe("its program is no JSON object")
    for symbol in program.get("range_constraints") or {}:
        if not SYMBOL.fullmatch(symbol):
            raise Unsafe(f"a size is called '{symbol[:60]}'")
    return clean_text(program)


def clean_text(value: Any, key: str = "") -> Any:
    """JSON without metadata, every text in it checked by the `key` that it stands under."""
    if isinstance(value, dict):
        if key == "metadata" and all(isinstance(part, str) for part in value.values()):
            return {}
        for name in value:
            _match(NAME, name, "name")
        if "as_custom_obj" in value:
            raise Unsafe("it holds custom objects")
        return {name: clean_text(part, name) for name, part in value.items()}
    if isinstance(value, list):
        return [] if key == "guards_code" else [clean_text(part, key) for part in value]
    if not isinstance(value, str):
        return value
    if key == "expr_str":
        return expression(value)
    if key in ("in_spec", "out_spec"):
        return json.dumps(_tree_spec(json.loads(value)))
    if key in ("target", "as_operator"):
        return _operator(value)
    return _match(STRING if key in ("as_string", "as_strings") else NAME, value, "name or text")


def expression(text: str) -> str:
    """A size expression, written anew; Unsafe where it is more than integers, symbols and arithmetic on them."""
    if len(text) > LONGEST_EXPRESSION:
        raise Unsafe("a size expression is too long")
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError):
        raise Unsafe(f"a size is '{text[:60]}'") from None
    if not _plain(tree) or _power(tree) > MOST_POWER:
        raise Unsafe(f"a size is '{text[:60]}', more than integers, symbols and arithmetic")
    return ast.unparse(tree)


def _plain(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=bool()):
            return True
        case ast.Constant(value=int() | float() as number):
            return abs(number) <= LONGEST_NUMBER
        case ast.Name(id=name):
            return SYMBOL.fullmatch(name) is not None or name in ("true", "false", "oo", "int_oo")
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _plain(operand)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() | ast.Mult(), right=right):
            return _plain(left) and _plain(right)
        case ast.Call(func=ast.Name(id="Symbol"), args=[ast.Constant(value=str(name))], keywords=assumptions):
            return SYMBOL.fullmatch(name) is not None and all(
                k.arg is not None and isinstance(k.value, ast.Constant) and isinstance(k.value.value, bool)
                for k in assumptions
            )
        case ast.Call(func=ast.Name(id="Float"), args=[ast.Constant(value=str(digits))], keywords=precision):
            return re.fullmatch(r"-?[\d.]{1,40}(e[+-]?\d{1,3})?", digits) is not None and all(
                k.arg == "precision" and isinstance(k.value, ast.Constant) and k.value.value == 53
                for k in precision
            )
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            return name in FUNCTIONS and all(map(_plain, args))
    return False


def _power(tree: ast.expr) -> float:
    """The product of all exponents in an expression; infinite where one is not a written-out integer."""
    product = 1.0
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and "Pow" in node.func.id:
            exponent = ast.unparse(node.args[-1]) if node.args else ""
            number = re.fullmatch(r"(?:Integer\()?(-?\d{1,3})\)?", exponent)
            product *= max(1, abs(int(number[1]))) if number else math.inf
    return product


def _operator(target: str) -> str:
    words = target.split(".")
    if target in OPERATORS or (ATEN.fullmatch(target) and not FILE_OPS.intersection(words)):
        return target
    raise Unsafe(f"it calls '{target[:60]}'")


def _tree_spec(spec: Any) -> Any:
    """The description of a pytree of plain containers: [protocol, {type, context, children_spec}]."""
    protocol, root = spec
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node["type"] is not None and not TREES.fullmatch(node["type"]):
            raise Unsafe(f"its inputs or outputs are in a '{str(node['type'])[:60]}'")
        if node["context"] is not None:
            context = json.loads(node["context"])
            if "__enum__" in node["context"] or "__enum__" in json.dumps(context):
                raise Unsafe("its inputs or outputs are described by an enumeration")
            clean_text(context)
        waiting += node["children_spec"]
    return [protocol, root]


def _match(pattern: re.Pattern[str], text: str, what: str) -> str:
    if not pattern.fullmatch(text):
        raise Unsafe(f"it holds the {what} '{text[:60]}'")
    return text
