"""The parameters of SecretFlow 1.14's SGB, with the library's own names, ranges and defaults.

A test holds this table equal to ``secretflow.ml.boost.sgb_v.core.params``. What each setting costs in time
and what it shows to whom is part of its type and is printed by ``python -m runner --help``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, field, structs

from runner.spec.base import Section


def _about(says: str, cost: str = "", shows: str = "", **limits: Any) -> Meta:
    return Meta(description=says, extra={"cost": cost, "shows": shows}, **limits)


class Sgb(Section, frozen=True, kw_only=True):
    """Hyperparameters of one SGB training; every one is passed to SecretFlow, so none sticks from a run before."""

    # the learning task
    objective: Annotated[
        Literal["logistic", "linear", "tweedie"],
        _about("loss: logistic (labels 0/1), linear (any number), tweedie (labels >= 0)"),
    ] = "logistic"
    base_score: Annotated[float, _about("initial raw score of every row", ge=-10, le=10)] = 0.0
    tweedie_variance_power: Annotated[float, _about("1 is Poisson-like, 2 gamma-like; tweedie only", gt=1, lt=2)] = 1.5

    # the shape of the model
    num_boost_round: Annotated[
        int,
        _about("number of trees", "time and traffic in proportion", "a set of split gains per tree", ge=1, le=1024),
    ] = 10
    learning_rate: Annotated[float, _about("shrinkage of each tree", gt=0, le=1)] = 0.3
    tree_growing_method: Annotated[
        Literal["level", "leaf"], _about("level: grow to max_depth; leaf: best leaf first, to max_leaf")
    ] = "level"
    max_depth: Annotated[
        int,
        _about("depth of level-wise trees", "up to 2x per level on small data", "finer row partitions", ge=1, le=16),
    ] = 5
    max_leaf: Annotated[
        int, _about("leaves of leaf-wise trees", "one histogram per leaf", "finer row partitions", ge=1, le=32768)
    ] = 15
    sketch_eps: Annotated[
        float,
        _about(
            "1/sketch_eps is about the number of bins per feature; at least 0.008 (127 bins)",
            "histograms and decryptions grow with the bins",
            "finer bucket sums, to the label holder",
            gt=0,
            le=1,
        ),
    ] = 0.1
    first_tree_with_label_holder_feature: Annotated[
        bool,
        _about(
            "grow the first tree from the label holder's own features",
            "saves about one tree's time; weaker with few trees",
            "less: the first gradients, which are the labels, leave nobody's process",
        ),
    ] = True

    # regularisation
    reg_lambda: Annotated[float, _about("L2 penalty on leaf weights", ge=0, le=10000)] = 1.0
    gamma: Annotated[float, _about("least gain of a split; a large one may leave no tree at all", ge=0, le=10000)] = 0.0

    # sampling
    seed: Annotated[int, _about("seed of sampling, and part of every party's shuffle seed", ge=0, lt=2**32)] = 1212
    rowsample_by_tree: Annotated[
        float, _about("share of rows per tree", "time almost in proportion", "the sampled rows, to all", gt=0, le=1)
    ] = 1.0
    colsample_by_tree: Annotated[float, _about("share of features per tree", "time falls with it", gt=0, le=1)] = 1.0
    enable_goss: Annotated[
        bool,
        _about(
            "one-side sampling by gradient; SecretFlow 1.14 keeps the smallest gradients, not the largest",
            "",
            "which rows were sampled, to all",
        ),
    ] = False
    top_rate: Annotated[float, _about("GOSS: share kept by gradient", gt=0, lt=1)] = 0.3
    bottom_rate: Annotated[float, _about("GOSS: share sampled from the rest", gt=0, lt=1)] = 0.5

    # what happens while training
    enable_monitor: Annotated[
        bool, _about("SecretFlow's own metric after each tree", "about 4 CPU s", "the metric, to every party")
    ] = False
    enable_early_stop: Annotated[
        bool,
        _about(
            "stop when the validation metric no longer improves",
            "two predictions per tree",
            "the metric, to every party",
        ),
    ] = False
    eval_metric: Annotated[
        Literal["roc_auc", "tweedie_deviance", "tweedie_nll", "mse", "rmse"],
        _about("metric of enable_monitor and enable_early_stop"),
    ] = "roc_auc"
    validation_fraction: Annotated[
        float, _about("share of the training rows held out for early stopping", gt=0, lt=1)
    ] = 0.1
    stopping_rounds: Annotated[int, _about("rounds without improvement before stopping", ge=1, le=1024)] = 1
    stopping_tolerance: Annotated[float, _about("least improvement that counts", ge=0)] = 0.0
    save_best_model: Annotated[bool, _about("keep the best model that early stopping saw")] = False

    # how numbers are encrypted and sent
    fixed_point_parameter: Annotated[int, _about("fraction bits of encoded gradients", ge=1, le=100)] = 20
    batch_encoding_enabled: Annotated[
        bool, _about("gradient and hessian in one ciphertext", "off: twice the ciphertexts")
    ] = True
    enable_quantization: Annotated[
        bool, _about("round gradients to a grid; SecretFlow 1.14 scales leaf weights wrongly with it")
    ] = False
    quantization_scale: Annotated[float, _about("grid of enable_quantization", ge=0, le=10000000.0)] = 10000.0
    enable_packbits: Annotated[bool, _about("pack row partitions into bits", "less traffic, more CPU")] = False
    audit_paths: Annotated[
        dict[str, str],
        Meta(
            max_length=0,
            description="SecretFlow's encryption audit; refused, it writes gradients in the clear: only {}",
            extra={"cost": "", "shows": "gradients, to whoever reads the file"},
        ),
    ] = field(default_factory=dict)


class SgbSettings(Sgb, frozen=True, kw_only=True):
    """What a user sets under ``sgb``: SecretFlow's parameters, some with more choices, and the runner's own."""

    objective: Annotated[
        Literal["logistic", "linear", "tweedie", "multiclass"],
        _about(
            "loss: logistic (labels 0/1), linear (any number), tweedie (labels >= 0), "
            "multiclass (texts or whole numbers; one logistic model per class against the rest)",
            "multiclass: as many trainings as there are classes",
            "multiclass: the number of classes, to every party",
        ),
    ] = "logistic"  # type: ignore[assignment]
    base_score: Annotated[
        Annotated[float, Meta(ge=-10, le=10)] | Literal["auto"],
        _about(
            "initial raw score of every row; auto: made of the label's mean at the label holder, and kept there "
            "in the leaf weights of the first tree",
        ),
    ] = 0.0  # type: ignore[assignment]

    shuffle: Annotated[
        Literal["private", "shared"],
        _about(
            "private: a party shuffles its histograms with a seed from its own secret; "
            "shared: all use `seed`, as stock SecretFlow does (for comparisons only)",
            "",
            "shared: lets the label holder undo the shuffles",
        ),
    ] = "private"

    monotone_constraints: Annotated[Any, _about("refused: SGB's splits cannot be held to a direction; only null")] = (
        None
    )

    def stated_base(self) -> float:
        """The base score as all parties know it; 0 for ``auto``, which only the label holder's leaf weights hold."""
        return 0.0 if self.base_score == "auto" else self.base_score

    def parameters(self) -> dict[str, Any]:
        """The complete parameter dict for ``Sgb.train``; of a multiclass model, for each class against the rest."""
        values = structs.asdict(self)
        del values["shuffle"], values["monotone_constraints"]
        values["base_score"] = self.stated_base()
        if self.objective == "multiclass":
            values["objective"] = "logistic"
        return values
