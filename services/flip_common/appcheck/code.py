"""The app's Python, read and never run: syntax, entry points, run-config keys, status calls, imports."""

import ast
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from flip_common.appcheck.config import AppConfig, Component
from flip_common.appcheck.report import Collector, Limits

STATUSES = {
    "INITIATED": "before anything else",
    "PREPARED": "when the initial weights are there",
    "TRAINING_STARTED": "when the rounds begin",
    "RESULTS_UPLOADED": "when the results are uploaded",
}
_SAME_STATUS = {"RUNNING": "TRAINING_STARTED"}
_HUB_CALLS = frozenset({"update_status", "send_metrics", "upload_results", "upload_results_to_s3"})


def parse(files: dict[str, Path], limits: Limits, found: Collector) -> dict[str, ast.Module]:
    """Every Python file of the app as a syntax tree, by path; what cannot be read is reported and left out."""
    trees = {}
    for name, path in files.items():
        if name.endswith(".py"):
            tree = _parse(name, path, limits, found)
            if tree is not None:
                trees[name] = tree
    return trees


def _parse(name: str, path: Path, limits: Limits, found: Collector) -> ast.Module | None:
    if path.stat().st_size > limits.source_bytes:
        found.error("too-large", f"is over the limit of {limits.source_bytes} bytes a source file", name)
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the app's own text; they are the author's business
            return ast.parse(path.read_bytes(), filename=name)
    except SyntaxError as error:
        found.error("syntax-error", f"is not Python {_version()}: {error.msg}", name, error.lineno)
    except (ValueError, RecursionError, MemoryError) as error:
        found.error("syntax-error", f"cannot be read as Python ({type(error).__name__})", name)
    return None


def _version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def check_components(
    components: list[Component], names: Iterable[str], trees: dict[str, ast.Module], found: Collector
) -> None:
    """Reports entry points that name no module of the app, or nothing in it."""
    present = set(names)
    for component in components:
        path = component.module.replace(".", "/")
        file = next((name for name in (f"{path}.py", f"{path}/__init__.py") if name in present), None)
        where = ("pyproject.toml", component.line)
        if "." not in component.module:
            message = f"{component.kind} names {component.module!r}; put it into a package folder, such as app/"
            found.error("no-package", message, *where)
        elif file is None:
            message = f"{component.kind} names {component.module}, but the app has no file {path}.py"
            found.error("component-not-found", message, *where)
        elif file in trees and component.name not in _top_level_names(trees[file]):
            kind = "ServerApp" if component.kind == "serverapp" else "ClientApp"
            message = (
                f"{component.kind} names {component.name!r}, which is not defined: add {component.name} = {kind}()"
            )
            found.error("component-not-found", message, file)


def _top_level_names(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        for inner in ast.walk(node) if isinstance(node, ast.If | ast.Try | ast.With) else [node]:
            if isinstance(inner, ast.Assign):
                names |= {
                    part.id for target in inner.targets for part in ast.walk(target) if isinstance(part, ast.Name)
                }
            elif isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name):
                names.add(inner.target.id)
            elif isinstance(inner, ast.Import | ast.ImportFrom):
                names |= {(alias.asname or alias.name).split(".")[0] for alias in inner.names}
            elif isinstance(inner, ast.FunctionDef | ast.ClassDef):
                names.add(inner.name)
    return names


def check_run_config(config: AppConfig, trees: dict[str, ast.Module], found: Collector) -> None:
    """Reports run-config keys that the code reads and `pyproject.toml` does not declare."""
    for file, tree in trees.items():
        for key, has_default, line in _keys_read(tree):
            if key in config.run_config:
                continue
            message = (
                f'run_config["{key}"] is not declared; add {key} = ... to [tool.flwr.app.config] in pyproject.toml'
            )
            report = found.warn if has_default else found.error
            report("undeclared-key", message, file, line)


def _keys_read(tree: ast.Module) -> Iterator[tuple[str, bool, int]]:
    """(key, whether a default stands beside it, line) of every `run_config["key"]` and `run_config.get("key")`."""
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    aliases = {"run_config"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and _is_run_config(node.value, aliases):
            aliases |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    for node in ast.walk(tree):
        key, has_default = _key_read(node, aliases)
        value = constants.get(key.id) if isinstance(key, ast.Name) else getattr(key, "value", None)
        if key is not None and isinstance(value, str):
            yield value, has_default, key.lineno


def _key_read(node: ast.AST, aliases: set[str]) -> tuple[ast.expr | None, bool]:
    """The key that `node` reads from the run config, if it does, and whether a default stands beside it."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and _is_run_config(node.value, aliases):
        return node.slice, False
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "get":
        return None, False
    if not node.args or not _is_run_config(node.func.value, aliases):
        return None, False
    return node.args[0], len(node.args) + len(node.keywords) > 1


def _is_run_config(node: ast.expr, aliases: set[str]) -> bool:
    if isinstance(node, ast.Name):
        return node.id in aliases
    return isinstance(node, ast.Attribute) and node.attr == "run_config"


def check_status_calls(trees: dict[str, ast.Module], found: Collector) -> None:
    """Warns about statuses the app never reports, unless it leaves that to `flip.run_model`."""
    sent: set[str] = set()
    for tree in trees.values():
        for name, call in _method_calls(tree):
            if name == "run_model":
                return
            if name == "update_status":
                inner = [
                    part for argument in [*call.args, *(k.value for k in call.keywords)] for part in ast.walk(argument)
                ]
                sent |= {part.attr for part in inner if isinstance(part, ast.Attribute)}
                sent |= {str(part.value) for part in inner if isinstance(part, ast.Constant)}
    sent |= {_SAME_STATUS[name] for name in sent & _SAME_STATUS.keys()}
    for status, when in STATUSES.items():
        if status not in sent:
            message = (
                f"no flip.update_status(model_id, ModelStatus.{status}) {when}; or use `with flip.run_model(model_id)`"
            )
            found.warn("no-status-call", message)


def check_client(config: AppConfig, trees: dict[str, ast.Module], found: Collector) -> None:
    """Warns about calls in the ClientApp's module that a site refuses, and about printed values."""
    for component in config.components:
        file = component.module.replace(".", "/") + ".py"
        if component.kind != "clientapp" or file not in trees:
            continue
        for name, call in _method_calls(trees[file]):
            if name in _HUB_CALLS:
                message = f"{name} does not work at a site; return values in the reply's MetricRecord and ArrayRecord"
                found.warn("hub-call-in-client", message, file, call.lineno)
        for line in _printed_values(trees[file]):
            message = "prints a value; what a ClientApp prints stays in the site's log, keep patients' data out"
            found.warn("prints-data", message, file, line)


def _method_calls(tree: ast.Module) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr, node


def _printed_values(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id != "print":
            continue
        if not all(isinstance(argument, ast.Constant) for argument in node.args):
            yield node.lineno


def check_imports(
    names: Iterable[str], trees: dict[str, ast.Module], packages: frozenset[str], found: Collector
) -> None:
    """Warns about imports of what neither Python, the app nor a site has: nothing is installed at run time."""
    own = {name.split("/")[0].removesuffix(".py") for name in names if name.endswith(".py")}
    known = own | packages | sys.stdlib_module_names
    for file, tree in trees.items():
        for module, line in _imports(tree):
            if module not in known:
                message = f"imports {module}, which sites do not have; use one of {', '.join(sorted(packages))}"
                found.warn("missing-package", message, file, line)


def _imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Top-level names of absolute imports, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split(".", 1)[0], node.lineno
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".", 1)[0], node.lineno
