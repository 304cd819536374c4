"""The files that SecretFlow's own ``SgbModel.save_model`` writes, from a party's part and back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from runner.errors import BundleError
from runner.export.trees import LEAF, Part, flat, is_whole

SPLIT_TREE, LEAF_WEIGHT, COMMON = "split_tree.json", "leaf_weight.json", "common.json"


class SplitTreeFile(msgspec.Struct, frozen=True):
    """A party's side of one tree, as SecretFlow writes it; it writes no gains."""

    split_features: list[int]
    split_values: list[float]
    split_indices: list[int]
    leaf_indices: list[int]


class Common(msgspec.Struct, frozen=True):
    """What SecretFlow writes of the whole model, at the label holder alone."""

    objective: str
    base: float
    tree_num: int
    partition_column_counts: dict[str, int]


class Declared(NamedTuple):
    """What the run says of a model that is brought in: the holder of its labels, and how its scores are read."""

    holder: str
    objective: str
    base_score: float


def secretflow_files(part: Part, common: Common | None) -> dict[str, bytes]:
    """Name → content of the files of one party, the same bytes that SecretFlow writes.

    Args:
        common: at the label holder; elsewhere None.
    """
    fields = SplitTreeFile.__struct_fields__
    files = {SPLIT_TREE: _json([{field: tree[field] for field in fields} for tree in part["trees"]])}
    if common is not None:
        files[COMMON] = json.dumps(msgspec.to_builtins(common), sort_keys=True).encode()
        files[LEAF_WEIGHT] = _json(part["leaf_weights"])
    return files


def read_secretflow_files(folder: Path, party: str, features: int, declared: Declared) -> dict[str, Any]:
    """A party's part (its ``trees``, and at the label holder ``leaf_weights`` and ``columns``), checked.

    ``columns`` gives the number of features by party, where SecretFlow noted it.

    Args:
        features: how many features the party's contract has.

    Raises:
        BundleError: where a file is missing, is not SecretFlow's, or does not fit the run; it names no value.
    """
    reader = _Reader(folder, party)
    trees = reader.read(SPLIT_TREE, list[SplitTreeFile])
    if not trees:
        raise reader.wrong(SPLIT_TREE, "it has no trees")
    for number, tree in enumerate(trees, start=1):
        if fault := _fault(tree, features):
            raise reader.wrong(SPLIT_TREE, f"tree {number}: {fault}")
    part: dict[str, Any] = {"trees": msgspec.to_builtins(trees)}
    if party != declared.holder:
        return part
    common = reader.read(COMMON, Common)
    for name, theirs, ours in (
        ("objective", common.objective, declared.objective),
        ("base_score", common.base, declared.base_score),
    ):
        if theirs != ours:
            raise reader.wrong(
                COMMON, f"sgb.{name} is {ours!r}, and the model's {theirs!r}", f"set sgb.{name}={theirs}"
            )
    if common.tree_num != len(trees):
        raise reader.wrong(COMMON, f"it speaks of {common.tree_num} trees, and {SPLIT_TREE} has {len(trees)}")
    weights = reader.read(LEAF_WEIGHT, list[list[list[float] | float]])
    if len(weights) != len(trees):
        raise reader.wrong(LEAF_WEIGHT, f"it has {len(weights)} trees, and {SPLIT_TREE} {len(trees)}")
    for number, (tree, column) in enumerate(zip(trees, weights, strict=True), start=1):
        if fault := _weights_fault(tree, column):
            raise reader.wrong(LEAF_WEIGHT, f"tree {number}: {fault}")
    return {**part, "leaf_weights": weights, "columns": common.partition_column_counts}


def _fault(tree: SplitTreeFile, features: int) -> str | None:
    """What is wrong with a party's side of a tree, or None."""
    if not len(tree.split_features) == len(tree.split_values) == len(tree.split_indices):
        return "its lists of splits differ in length"
    if any(not LEAF <= feature < features for feature in tree.split_features):
        return f"a split is on a feature that the party's contract, of {features} features, does not have"
    own = [value for feature, value in zip(tree.split_features, tree.split_values, strict=True) if feature != LEAF]
    if not all(math.isfinite(value) for value in own):
        return "a threshold is no finite number"
    if not is_whole({"split_indices": tree.split_indices, "leaf_indices": tree.leaf_indices}):
        return "its nodes and leaves do not make a binary tree"
    return None


def _weights_fault(tree: SplitTreeFile, column: list[Any]) -> str | None:
    if any(isinstance(weight, list) and len(weight) != 1 for weight in column):
        return "a leaf has not one weight"
    if len(column) != len(tree.leaf_indices):
        return "it has not one weight for each leaf"
    if not all(math.isfinite(weight) for weight in flat(column)):
        return "a leaf weight is no finite number"
    return None


class _Reader(NamedTuple):
    """Reads one party's files; every error says whose they are and in which folder."""

    folder: Path
    party: str

    def read(self, name: str, kind: Any) -> Any:
        path = self.folder / name
        try:
            content = path.read_bytes()
        except OSError as error:
            fix = f"import_from.{self.party} names the folder that SecretFlow's save_model wrote for {self.party}"
            if name != SPLIT_TREE:
                fix += "; the label holder's has the leaf weights: see label.holder"
            raise self.wrong(name, error.strerror or type(error).__name__, fix) from None
        try:
            return msgspec.convert(json.loads(content), kind)
        except msgspec.ValidationError as error:
            raise self.wrong(name, f"it is not what SecretFlow writes: {error}") from None
        except (ValueError, RecursionError):
            raise self.wrong(name, "it is no JSON") from None

    def wrong(self, name: str, why: str, fix: str = "") -> BundleError:
        return BundleError(
            f"{self.party}'s model from SecretFlow cannot be taken in",
            where=str(self.folder / name),
            why=why,
            fix=fix
            or "give the folder that SecretFlow's save_model wrote, unchanged, and the settings of its training",
        )


def _json(value: Mapping[str, Any] | list[Any]) -> bytes:
    return json.dumps(value).encode()
