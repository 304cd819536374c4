"""Whether a repeated run came to the same results, bit for bit, and if not, where it first differs and what changed.

Pure: it compares the parts of two manifests that repeat. Digests of a party's things are under that party's key, so
equal digests mean equal bits, and nothing else can be learned from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Hashed = Mapping[str, Any]
NOT_RESULTS = {("validate", "file"), ("validate", "contract"), ("save", "bundle"), ("load", "bundle")}


class Comparison(NamedTuple):
    """What came of comparing two runs.

    Attributes:
        first: the first difference of results as ``(stage, party, what)``; None where all are bit-identical.
        causes: what changed between the runs, the likeliest cause first.
    """

    first: tuple[str, str, str] | None
    causes: tuple[str, ...]


def compare(original: Hashed, repeated: Hashed) -> Comparison:
    """Compare two runs stage by stage."""
    return Comparison(next(_differences(original, repeated), None), tuple(_causes(original, repeated)))


def _differences(original: Hashed, repeated: Hashed) -> Iterator[tuple[str, str, str]]:
    first, second = original["stages"], repeated["stages"]
    plan = [*original["plan"], *repeated["plan"]]  # a manifest on the disk has its keys sorted
    for stage in dict.fromkeys([*plan, *first, *second]):
        ours, theirs = first.get(stage, {}), second.get(stage, {})
        for party in sorted({*ours, *theirs}):
            facts, others = ours.get(party, {}), theirs.get(party, {})
            for what in sorted({*facts, *others}):
                if facts.get(what) != others.get(what) and (stage, what) not in NOT_RESULTS:
                    yield stage, party, what


def _causes(original: Hashed, repeated: Hashed) -> Iterator[str]:
    for party in sorted(original["stages"]["validate"]):
        before = original["stages"]["validate"][party]
        after = repeated["stages"]["validate"].get(party, {})
        if before.get("table") != after.get("table"):
            changed = [name for name in ("file", "contract") if before.get(name) != after.get(name)]
            yield f"data: {party}'s table is another one ({' and '.join(changed) or 'the way it is read'} changed)"
    if "load" in original["plan"] and "save" not in original["plan"] and original["model"] != repeated["model"]:
        yield f"model: {original['model'][:12]} was {repeated['model'][:12]} now"
    for path, one, other in changes(original["spec"], repeated["spec"]):
        yield f"setting {path}: {one!r} was {other!r} now"
    if original["party_order"] != repeated["party_order"]:
        yield f"party order: {', '.join(original['party_order'])} was {', '.join(repeated['party_order'])} now"
    if original["code"].get("source") != repeated["code"].get("source"):
        yield f"code: {_code(original)} was {_code(repeated)} now"
    for package, one, other in changes(original["versions"], repeated["versions"]):
        yield f"version of {package}: {one} was {other} now"
    for path, one, other in changes(original["machine"], repeated["machine"]):
        detail = "other abilities" if path == "cpu_flags" else f"{one!r} was {other!r} now"
        yield f"machine, {path}: {detail}"


def _code(hashed: Hashed) -> str:
    code = hashed["code"]
    source = f"source {code['source'][:12]}"
    if not code.get("commit"):
        return source
    return f"{source} (commit {code['commit'][:12]}{' with changes' if code.get('changes') else ''})"


def changes(first: Any, second: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Every setting that differs, as ``(dotted path, in the first, in the second)``; None where it is not there."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for name in sorted({*first, *second}):
            yield from changes(first.get(name), second.get(name), f"{path}.{name}".lstrip("."))
    elif first != second:
        yield path, first, second
