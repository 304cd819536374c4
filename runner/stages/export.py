"""Stage `export`: write the model in another program's format, each party its own part, or one party the whole."""

from __future__ import annotations

from typing import Any

from secretflow.device import PYUObject

from runner.bundle.manifest import Manifest
from runner.engine.site import Site
from runner.export.onnx_model import onnx_model
from runner.export.secretflow_files import Common, secretflow_files
from runner.export.serving import Ensemble, serving_package
from runner.export.trees import Part, join_parts
from runner.export.xgboost_json import xgboost_model
from runner.files import make_private_dir, write_bytes
from runner.spec.model import COMPLETE_FORMATS
from runner.stages.context import Context

FOLDER = "export"
COMPLETE_FILES = {"xgboost": "model.json", "onnx": "model.onnx"}
SERVING_FILE = "serving.tar.gz"


def export(context: Context, model: Any) -> None:
    """Write the files into ``export/`` in the folders of the parties that may have them.

    Args:
        model: the list of all parts at ``export.at``; or the manifest, and each party's own part at that party.

    Raises:
        BundleError: where the parts do not make a whole model, or the format cannot express it.
    """
    if context.spec.export.format in COMPLETE_FORMATS:
        _export_complete(context, model)
    else:
        _export_parts(context, *model)


def _export_complete(context: Context, parts: PYUObject) -> None:
    """One file with the whole model, at ``export.at``."""
    spec, form = context.spec, context.spec.export.format

    def write(site: Site, parts: list[Part]) -> None:
        model = join_parts(
            parts,
            objective=spec.sgb.objective,
            base_score=spec.sgb.stated_base(),
            variance_power=spec.sgb.tweedie_variance_power,
        )
        _write(site, {COMPLETE_FILES[form]: xgboost_model(model) if form == "xgboost" else onnx_model(model)})

    context.gate.finish([context.at(str(spec.assembles_at()), write, parts)])


def _export_parts(context: Context, manifest: Manifest, parts: dict[str, PYUObject]) -> None:
    """Each party's own part, written at that party; nothing is sent."""
    spec, form = context.spec, context.spec.export.format

    def write(site: Site, part: Part) -> None:
        if form == "serving":
            ensemble = Ensemble(manifest.bundle, manifest.objective, manifest.base_score, manifest.trees)
            _write(site, {SERVING_FILE: serving_package(part, ensemble)})
        else:
            columns = {party: manifest.parties[spec.trained_as(party)].features for party in spec.party_order()}
            common = Common(manifest.objective, manifest.base_score, manifest.trees, columns)
            _write(site, secretflow_files(part, common if site.party == spec.label.holder else None))

    context.gate.finish([context.at(party, write, part) for party, part in parts.items()])


def _write(site: Site, files: dict[str, bytes]) -> None:
    folder = make_private_dir(site.folder / FOLDER)
    for name, content in files.items():
        write_bytes(folder / name, content)
