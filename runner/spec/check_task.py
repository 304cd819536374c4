"""Settings of the task that contradict each other: what is applied, exported, taken in, or gone on with."""

from __future__ import annotations

from runner.errors import SpecError
from runner.spec.model import APPLIES_MODEL, COMPLETE_FORMATS, Spec
from runner.spec.suggest import require_known


def check_task(spec: Spec) -> None:
    plan = spec.task.to_run()
    if plan not in APPLIES_MODEL and spec.model is not None:
        raise SpecError(
            f"model = {spec.model!r} has no effect",
            where="model",
            why=f"task={spec.task.name} makes a model of its own",
            fix="remove model=…, or use task=predict",
        )
    for party, trained in spec.roles.items():
        require_known(party, spec.parties, f"roles.{party}")
        if spec.model is None or list(map(spec.trained_as, spec.parties)).count(trained) > 1:
            raise SpecError(
                f"roles.{party} = {trained!r} is not valid",
                where=f"roles.{party}",
                why="roles say who was who in the training of model, and no two parties were one",
                fix="give model=RUN with it, and each of the training's parties once",
            )
    if spec.task.name in APPLIES_MODEL and spec.model is None:
        raise SpecError(
            f"no model to {spec.task.name}",
            where="model",
            why=f"task={spec.task.name} begins with a saved model",
            fix="add model=<run folder of an earlier run>, for instance the one its summary printed",
        )
    _check_export(spec)
    _check_import(spec)
    _check_folds(spec)


def _check_export(spec: Spec) -> None:
    form, at = spec.export.format, spec.export.at
    if spec.task.to_run() != "export" or form not in COMPLETE_FORMATS:
        if at is not None:
            raise SpecError(
                "export.at has no effect",
                where="export.at",
                why="only task=export with export.format=xgboost or onnx brings a model to one party",
                fix="remove export.at",
            )
    elif at is None:
        raise SpecError(
            "nobody is named to hold the complete model",
            where="export.at",
            why=f"a file for {form} has every party's part of the model in it",
            fix="set export.at to the party that may have the complete model",
        )
    else:
        require_known(at, spec.parties, "export.at")
    if spec.task.to_run() in ("export", "import") and spec.engine() == "ss_xgb":
        raise SpecError(
            f"a model with a secret label has no {spec.task.to_run()}",
            where="label.mode",
            why="its leaf weights exist as secret shares only, and no other program's file holds shares",
            fix="use it with task=predict; or train with another label mode",
        )


def _check_import(spec: Spec) -> None:
    folders = spec.import_from
    if spec.task.to_run() != "import":
        if folders is not None:
            raise SpecError(
                "import_from has no effect",
                where="import_from",
                why=f"task={spec.task.name} brings no model in",
                fix="remove import_from=…, or use task=import",
            )
        return
    if spec.task.name == "check" and folders is None:
        return
    for party in folders or ():
        require_known(party, spec.parties, f"import_from.{party}")
    here = spec.parties_here()
    for party in here:
        if party not in (folders or {}):
            raise SpecError(
                f"{party}'s part of the model is not given",
                where=f"import_from.{party}",
                why="each party brings the folder that SecretFlow's save_model wrote for it",
                fix="write import_from={"
                + ", ".join(f"{party}: <folder>" for party in sorted(spec.parties_here()))
                + "}",
            )


def check_checkpoints(spec: Spec) -> None:
    """Refuse checkpoints, and going on from one, where a training has a state that they do not hold."""
    if spec.resume is not None and spec.task.to_run() == "predict":
        raise SpecError(
            f"resume = {spec.resume!r} has no effect",
            where="resume",
            why="task=predict trains nothing",
            fix="remove resume=…, or use task=train or task=train_predict",
        )
    where = "resume" if spec.resume is not None else "train.checkpoint_every" if spec.train.checkpoint_every else None
    if where is None or "train" not in spec.stages():
        return
    if spec.engine() == "ss_xgb":
        raise SpecError(
            "a training with a secret label has no checkpoints",
            where=where,
            why="its state exists as secret shares only, which end with the run",
            fix="set train.checkpoint_every=0, or choose another label mode",
        )
    if spec.sgb.enable_early_stop:
        raise SpecError(
            "a training with early stopping has no checkpoints",
            where=where,
            why="what early stopping remembers of the trees before is not in a checkpoint",
            fix="set train.checkpoint_every=0, or sgb.enable_early_stop=false",
        )


def _check_folds(spec: Spec) -> None:
    if spec.task.to_run() in APPLIES_MODEL:
        return  # they are those of the training
    cv, by_column = spec.cv, spec.cv.by in ("group", "time")
    if by_column:
        for name, value in (("at", cv.at), ("column", cv.column)):
            if value is None:
                raise SpecError(
                    f"cv.{name} is not given",
                    where=f"cv.{name}",
                    why=f"with cv.by={cv.by} rows are dealt by a column of one party's table",
                    fix="set cv.at to that party and cv.column to its column",
                )
        require_known(str(cv.at), spec.data.tables, "cv.at")
    elif cv.at is not None or cv.column is not None:
        name = "at" if cv.at is not None else "column"
        raise SpecError(
            f"cv.{name} has no effect",
            where=f"cv.{name}",
            why=f"with cv.by={cv.by} rows are not dealt by a column",
            fix="remove cv.at and cv.column, or set cv.by=group or cv.by=time",
        )
    if spec.task.to_run() != "cv":
        return
    if spec.evaluator() is None:
        raise SpecError(
            "a cross-validation without labels to compare with",
            where="label.predict",
            why="each fold's model is measured on the rows that it has not seen",
            fix="set label.predict=same, or the party that has the labels",
        )
    if cv.by == "stratified" and (spec.sgb.objective not in ("logistic", "multiclass") or spec.label.mode == "secret"):
        raise SpecError(
            "cv.by=stratified needs classes that the label holder sees",
            where="cv.by",
            why=f"the objective is {spec.sgb.objective}, and the label is {spec.label.mode}",
            fix="use cv.by=random",
        )
    if spec.evaluate.group_by is not None:
        raise SpecError(
            f"evaluate.group_by = {spec.evaluate.group_by!r} has no effect",
            where="evaluate.group_by",
            why="a cross-validation tells the metrics of its folds, and of no group of rows",
            fix="remove it, or use task=train_predict",
        )
    if spec.resume is not None or spec.train.checkpoint_every:
        raise SpecError(
            "a cross-validation has no checkpoints",
            where="resume" if spec.resume is not None else "train.checkpoint_every",
            why="a checkpoint belongs to one training, and here is one a fold",
            fix="remove resume=… and set train.checkpoint_every=0",
        )
