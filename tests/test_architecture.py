"""The import rule of ARCHITECTURE.md, held by a walk over the syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src"
MODULES = sorted((SOURCE / "lipsmith").rglob("*.py"))

FREE_FOR_ALL = ("lipsmith.errors", "lipsmith.weights", "lipsmith.engine.progress", "lipsmith.engine.heap")

# A module may import what the row of its longest prefix names, what is free for all, and its own row.
ENGINE = "lipsmith.engine"
FACES = (f"{ENGINE}.media", f"{ENGINE}.mouth")
CAST = ("media", "mouth", "faces", "actor", "render", "footage")
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "lipsmith": ("lipsmith.client",),
    "lipsmith.client": (),
    "lipsmith.errors": (),
    "lipsmith.weights": (),
    "lipsmith.config": (),
    ENGINE: (),
    f"{ENGINE}.progress": (),
    f"{ENGINE}.heap": (),
    f"{ENGINE}.media": (),
    f"{ENGINE}.mouth": (f"{ENGINE}.media",),
    f"{ENGINE}.faces": FACES,
    f"{ENGINE}.speech": FACES,
    f"{ENGINE}.actor": (*FACES, f"{ENGINE}.faces"),
    f"{ENGINE}.render": (*FACES, f"{ENGINE}.faces", f"{ENGINE}.actor"),
    f"{ENGINE}.quality": (
        *FACES,
        f"{ENGINE}.faces",
        *(f"{ENGINE}.speech.{m}" for m in ("audio", "features")),
    ),
    f"{ENGINE}.footage": (*FACES, f"{ENGINE}.faces", f"{ENGINE}.speech", f"{ENGINE}.quality.sync"),
    f"{ENGINE}.casting": tuple(f"{ENGINE}.{part}" for part in CAST),
    f"{ENGINE}.rehearsal": tuple(f"{ENGINE}.{part}" for part in (*CAST, "speech", "casting")),
    f"{ENGINE}.dub": (ENGINE,),
    "lipsmith.demo": (f"{ENGINE}.media", f"{ENGINE}.mouth", f"{ENGINE}.faces", "lipsmith.config"),
    "lipsmith.console": (),
    "lipsmith.plugins": (),
    "lipsmith.service": ("lipsmith.plugins", "lipsmith.service.timecode"),
    "lipsmith.service.timecode": (f"{ENGINE}.media.clock",),
    "lipsmith.worker": ("lipsmith.service",),
    "lipsmith.worker.tasks": (ENGINE, "lipsmith.worker.parent", "lipsmith.config", "lipsmith.plugins"),
    "lipsmith.serving": ("lipsmith.service", "lipsmith.worker"),
    "lipsmith.administration": ("lipsmith.service", "lipsmith.worker"),
    "lipsmith.moving": ("lipsmith.service",),
    "lipsmith.__main__": ("lipsmith.cli",),
    "lipsmith.cli": (
        f"{ENGINE}.dub",
        f"{ENGINE}.media.spec",
        f"{ENGINE}.quality",
        "lipsmith.config",
        "lipsmith.console",
        "lipsmith.demo",
    ),
}
NO_NOUN = {"utils", "util", "common", "core", "base", "helpers", "misc"}


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def imported_names(tree: ast.AST) -> Iterator[str]:
    """Dotted names as they are imported: `from a.b import c` gives a.b.c."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "absolute imports only"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def row_of(name: str) -> str:
    return max((prefix for prefix in MAY_IMPORT if within(name, prefix)), key=len)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_follow_the_rule(path: Path) -> None:
    name = module_name(path)
    row = row_of(name)
    allowed = (*FREE_FOR_ALL, *MAY_IMPORT[row])
    for target in imported_names(ast.parse(path.read_text())):
        if not within(target, "lipsmith") or target == "lipsmith.__version__":
            continue
        same_row = row not in ("lipsmith", ENGINE) and row_of(target) == row
        assert same_row or any(within(target, prefix) for prefix in allowed), f"{name} imports {target}"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), f"{module_name(path)} has no docstring"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_module_is_named_by_a_noun(path: Path) -> None:
    assert not NO_NOUN & set(module_name(path).split("."))


@pytest.mark.parametrize("path", [p for p in MODULES if "engine" in p.parts], ids=module_name)
def test_engine_never_reads_the_environment(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        read = isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv")
        assert not read, f"{module_name(path)} reads the environment in line {getattr(node, 'lineno', '?')}"


def test_every_row_is_a_module_or_yet_to_come() -> None:
    """A row for something that does not exist is a typing error here, or waits for its module."""
    waiting = {f"{ENGINE}.dub"}
    names = {module_name(path) for path in MODULES}
    assert set(MAY_IMPORT) - names <= waiting
