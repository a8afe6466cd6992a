"""What a reviewer would say twice is said here once."""

from __future__ import annotations

import ast
import importlib

import pytest
from tests.repo.source import Function, functions, modules_and_beside, path_of

FILE_LINES = 400
FUNCTION_LINES = 60
PARAMETERS = 8

# Reasoned exceptions: (module, name) -> why. The list may only shrink.
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[tuple[str, str], str] = {}
MANY_PARAMETERS: dict[tuple[str, str], str] = {}
BROAD_EXCEPT: dict[str, str] = {
    "trimtab.server.doors.door": "the edge of the server: a fault of our own is a 500 in the client's protocol, and a line in the log",
    "trimtab.store.sqlite.writer": "whoever waits for a row of a dead thread waits for ever: the thread outlives any defect",
    "trimtab.engine.assembly.housekeeping": "a chore with a defect is logged as one and tried again: else revoked keys would open for ever",
    "trimtab.signals.reading": "a reader that fails takes its careful value, and the evidence says so",
}
OPTIONAL_EXTRAS = {"xllamacpp", "gguf", "numpy", "huggingface_hub"} | {
    "jwt",
    "cryptography",
}  # the last two: 9 MiB for one provider
MUTABLE = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)

every_module = pytest.mark.parametrize("module", sorted(modules_and_beside()))


@every_module
def test_a_file_has_one_duty(module: str) -> None:
    lines = len(path_of(module).read_text().splitlines())
    assert lines <= FILE_LINES or module in LONG_FILES, f"{module} has {lines} lines"


@every_module
def test_a_module_says_what_it_is(module: str) -> None:
    assert ast.get_docstring(modules_and_beside()[module]) or module == "trimtab.__main__", f"{module} opens without a docstring"


def _parameters(function: Function) -> int:
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return len([argument for argument in named if argument.arg not in ("self", "cls")])


@every_module
def test_functions_are_short_and_take_little(module: str) -> None:
    for function in functions(modules_and_beside()[module]):
        length = (function.end_lineno or 0) - function.lineno + 1
        where = f"{module}:{function.lineno} {function.name}"
        key = (module, function.name)
        assert length <= FUNCTION_LINES or key in LONG_FUNCTIONS, f"{where} has {length} lines"
        commands = any("command" in ast.unparse(decorator) for decorator in function.decorator_list)
        count = _parameters(function)
        assert commands or count <= PARAMETERS or key in MANY_PARAMETERS, f"{where} takes {count} parameters"


@every_module
def test_no_global_no_mutable_default(module: str) -> None:
    for node in ast.walk(modules_and_beside()[module]):
        assert not isinstance(node, ast.Global), f"{module}:{node.lineno} uses global"
        if isinstance(node, Function | ast.Lambda):
            for default in [*node.args.defaults, *node.args.kw_defaults]:
                assert not isinstance(default, MUTABLE), f"{module}:{node.lineno} has a mutable default"


@every_module
def test_no_error_is_swallowed(module: str) -> None:
    for node in ast.walk(modules_and_beside()[module]):
        if not isinstance(node, ast.ExceptHandler):
            continue
        only_pass = len(node.body) == 1 and isinstance(node.body[0], ast.Pass)
        assert not only_pass, f"{module}:{node.lineno} swallows an error"
        names = {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)} if node.type else {"BaseException"}
        raises = any(isinstance(inner, ast.Raise) for inner in ast.walk(node))
        broad = bool(names & {"Exception", "BaseException"}) and not raises
        assert not broad or module in BROAD_EXCEPT, f"{module}:{node.lineno} catches everything"


@every_module
def test_no_task_is_dropped(module: str) -> None:
    for node in ast.walk(modules_and_beside()[module]):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            called = ast.unparse(node.value.func)
            assert not called.endswith(("create_task", "ensure_future")), f"{module}:{node.lineno} drops a task"


@every_module
def test_imports_stand_at_the_top(module: str) -> None:
    for function in functions(modules_and_beside()[module]):
        for node in ast.walk(function):
            if isinstance(node, ast.Import | ast.ImportFrom):
                name = (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
                assert name.split(".")[0] in OPTIONAL_EXTRAS, f"{module}:{node.lineno} imports {name} inside a function"


@every_module
def test_exports_are_named_and_sorted(module: str) -> None:
    """A package's front lists what it offers, and offers what it lists."""
    tree = modules_and_beside()[module]
    if path_of(module).name != "__init__.py":
        return
    listed = next(
        (
            ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        ),
        None,
    )
    is_front = not any(isinstance(node, Function | ast.ClassDef) for node in tree.body)
    if is_front and module != "trimtab":
        own = [node for node in tree.body if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(module + ".")]
        offered = {alias.asname or alias.name for node in own for alias in node.names}
        assert offered <= set(listed or ()), f"{module}: {sorted(offered - set(listed or ()))} are imported and not in __all__"
    if listed is not None:
        assert len(listed) == len(set(listed)), f"{module}: __all__ names something twice"
        missing = [name for name in listed if not hasattr(importlib.import_module(module), name)]
        assert missing == [], f"{module}: __all__ names {missing}, which are not there"


def test_a_folder_holds_eight_files_at_most() -> None:
    folders: dict[str, int] = {}
    for module in modules_and_beside():
        folder = str(path_of(module).parent)
        folders[folder] = folders.get(folder, 0) + (path_of(module).name != "__init__.py")
    crowded = {folder: count for folder, count in folders.items() if count > 8}
    assert crowded == {}
