"""The house's rules of who imports whom, and of what only the gate may do; read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from support import PROJECT

RUNNER = PROJECT / "runner"
# The right may import the left; rooms of one tuple may import each other.
ORDER = (
    ("errors", "files"),
    ("logs",),
    ("environment",),
    ("spec",),
    ("policy",),
    ("keys",),
    ("bundle",),
    ("export",),
    ("cluster",),
    ("prepare",),
    ("data",),
    ("privacy",),
    ("engine",),
    ("stages",),
    ("worker",),
    ("provenance",),
    ("earlier",),
    ("report",),
    ("tracking",),
    ("budget",),
    ("execution",),
    ("sweep",),
    ("tuning",),
    ("reproduction",),
    ("records",),
    ("drafting",),
    ("certificates",),
    ("doctor",),
    ("tasks",),
    ("__main__",),
)
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}
HEAVY = ("secretflow", "spu", "heu", "jax")
MAY_IMPORT_HEAVY = ("engine/", "stages/", "worker/", "policy/gate.py")
SLOW = (
    "secretflow",
    "spu",
    "heu",
    "jax",
    "pandas",
    "polars",
    "pandera",
    "sklearn",
    "pyarrow",
    "matplotlib",
    "jinja2",
    "mlflow",
    "optuna",
)
FILES = sorted(path.relative_to(RUNNER).as_posix() for path in RUNNER.rglob("*.py"))


@cache
def tree(file: str) -> ast.Module:
    return ast.parse((RUNNER / file).read_text(), file)


def imports(file: str) -> Iterator[tuple[int, str]]:
    """Every module that a file imports, at its top or late, with the line."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno} imports relatively"
            yield node.lineno, str(node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
            named = node.args[0]
            if isinstance(named, ast.Constant):
                yield node.lineno, str(named.value)


def room(file: str) -> str:
    return file.split("/")[0].removesuffix(".py")


def calls(file: str, name: str) -> list[str]:
    """Where a file calls something of that name, as a function or as a method."""
    found = []
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Call):
            function = node.func
            called = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
            if called == name:
                found.append(f"{file}:{node.lineno}")
    return found


def test_every_room_has_its_place() -> None:
    rooms = {room(file) for file in FILES} - {"__init__"}
    assert rooms == set(LEVEL), "a new room needs a place in the order"


@pytest.mark.parametrize("file", [file for file in FILES if file != "__init__.py"])
def test_imports_go_one_way(file: str) -> None:
    wrong = []
    for line, module in imports(file):
        package, _, rest = module.partition(".")
        if package != "runner" or not rest:
            continue
        other = rest.split(".")[0]
        if other != room(file) and LEVEL[other] >= LEVEL[room(file)] and {other, room(file)} != {"errors", "files"}:
            wrong.append(f"runner/{file}:{line} imports {module}")
    assert not wrong


def test_only_some_rooms_import_secretflow() -> None:
    wrong = [
        f"runner/{file}:{line} imports {module}"
        for file in FILES
        for line, module in imports(file)
        if module.split(".")[0] in HEAVY and not file.startswith(MAY_IMPORT_HEAVY)
    ]
    assert not wrong


def test_only_the_gate_reveals() -> None:
    assert [place.split(":")[0] for file in FILES for place in calls(file, "reveal")] == ["policy/gate.py"]


def test_only_the_gate_knows_reveal() -> None:
    named = [
        file
        for file in FILES
        for node in ast.walk(tree(file))
        if (isinstance(node, ast.alias) and node.name.endswith("reveal"))
        or (isinstance(node, ast.Attribute) and node.attr == "reveal")
    ]
    assert named == ["policy/gate.py"]


def test_only_the_gate_moves_an_object_to_another_party() -> None:
    assert {place.split(":")[0] for file in FILES for place in calls(file, "to")} == {"policy/gate.py"}


def test_nothing_reads_a_device_objects_data() -> None:
    """With all parties in one process, `.data` would give the value of any party's object, past the gate."""
    wrong = [
        f"runner/{file}:{node.lineno} reads {ast.unparse(node)}"
        for file in FILES
        if file.startswith(("stages/", "policy/", "worker/"))
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Attribute) and node.attr == "data" and not ast.unparse(node.value).endswith("spec")
    ]
    assert not wrong


def test_nothing_unpickles_but_the_strict_unpickler() -> None:
    picklers = ("pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal")
    importers = {file for file in FILES for _, module in imports(file) if module.split(".")[0] in picklers}
    assert importers <= {"engine/unpickle.py", "engine/transport.py"}
    readers = {
        ast.unparse(node)
        for file in importers
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Attribute) and node.attr in ("load", "loads") and ast.unparse(node.value) in picklers
    }
    assert not readers


def test_numpy_never_loads_pickles() -> None:
    wrong = [
        f"{file}:{node.lineno}"
        for file in FILES
        for node in ast.walk(tree(file))
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False"
    ]
    assert not wrong


def test_no_assert_guards_anything() -> None:
    """`python -O` takes assertions away."""
    found = [f"{file}:{node.lineno}" for file in FILES for node in ast.walk(tree(file)) if isinstance(node, ast.Assert)]
    assert not found


@pytest.mark.parametrize("folder", sorted({str(Path(file).parent) for file in FILES}))
def test_every_folder_says_what_it_is_for(folder: str) -> None:
    assert ast.get_docstring(tree(str(Path(folder) / "__init__.py")))


@pytest.mark.parametrize("file", FILES)
def test_every_module_begins_with_a_docstring(file: str) -> None:
    assert ast.get_docstring(tree(file))


@pytest.mark.parametrize(
    "statement",
    [
        "import runner",
        "import runner.tasks, runner.execution, runner.__main__, runner.records, runner.reproduction, runner.drafting",
        "import runner.sweep.launcher",
        "import runner.certificates, runner.doctor.visit",
    ],
)
def test_driver_imports_nothing_slow(statement: str) -> None:
    code = f"{statement}\nimport sys\nprint(sorted(set({SLOW!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
