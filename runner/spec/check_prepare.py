"""Settings of preprocessing that contradict each other or the task."""

from __future__ import annotations

from runner.errors import SpecError
from runner.spec.model import Spec
from runner.spec.prepare import Prepare


def check_prepare(spec: Spec) -> None:
    prepare = spec.prepare
    clip = prepare.numbers.clip
    if clip is not None and clip[0] >= clip[1]:
        raise SpecError(
            f"prepare.numbers.clip = {list(clip)} is not valid",
            where="prepare.numbers.clip",
            why="the first quantile is not below the second",
            fix="write a lower quantile and then a higher one, for instance [0.01,0.99]",
        )
    if prepare.categories.encode == "target":
        raise SpecError(
            "prepare.categories.encode = 'target' cannot be meant for all parties",
            where="prepare.categories.encode",
            why="it needs the label, and the label holder alone has it",
            fix="say so in the label holder's contract: prepare: {encode: target}, in Python "
            'metadata={"prepare": {"encode": "target"}}',
        )
    if spec.task.to_run() == "import" and prepare != Prepare():
        raise SpecError(
            "prepare has no effect on a model that is brought in",
            where="prepare",
            why="SecretFlow's files do not say how the columns were prepared: the model takes the tables as they are",
            fix="use prepare=strict",
        )
