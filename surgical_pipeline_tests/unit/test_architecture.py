"""The walls of the house: who may import whom, what stays out of start-up, how files are named and sized."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "surgical_pipeline"
TESTS = PACKAGE.parent / "surgical_pipeline_tests"

VALUES = {"domain", "documents", "search", "events"}
GATEWAYS = {"gitlab", "embedders", "ledger"}
ALLOWED = {
    "domain": set(),
    "documents": {"domain"},
    "search": {"domain"},
    "events": {"domain"},
    "gitlab": {"domain"},
    "embedders": {"domain"},
    "ledger": {"domain", "search", "events", "settings"},
    "dataset": {"domain", "ledger", "settings"},
    "stages": VALUES | GATEWAYS,
    "report": {"domain", "ledger"},
    "settings": {"domain", "gitlab", "embedders"},
    "sandbox": set(),
    "metrics": {"domain", "events", "ledger", "settings"},
    "webhook": {"domain", "events", "ledger", "settings", "metrics"},
    "defs": VALUES | GATEWAYS | {"stages", "report", "settings", "dataset"},
    "definitions": {"defs", "domain"},
    "component": {"defs", "definitions", "domain"},
    "cli": VALUES
    | GATEWAYS
    | {"stages", "report", "settings", "dataset", "defs", "sandbox", "webhook", "metrics"},
}
"""Layer by layer, what it may import of ours. ``defs.launch`` loads the Definitions object: the one arrow up."""

STAGES = {"preflight", "ingest", "dependents", "docs", "embed"}


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts), path


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def layer_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_imports_run_one_way() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, path in modules()
        if layer_of(module) in ALLOWED and module != "surgical_pipeline.defs.launch"
        for name in imports_of(path)
        if name.startswith("surgical_pipeline.")
        and layer_of(name) not in ALLOWED[layer_of(module)] | {layer_of(module)}
    ]
    assert wrong == []


def test_every_layer_is_known() -> None:
    layers = {layer_of(module) for module, _ in modules()} - {"", "__init__"}
    assert layers == set(ALLOWED)


def test_stages_never_import_each_other() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, path in modules()
        if layer_of(module) == "stages"
        for name in imports_of(path)
        if name.split(".")[:2] == ["surgical_pipeline", "stages"] and name.split(".")[2] in STAGES
    ]
    assert wrong == []


def test_the_five_stages_stand_alone_in_their_folder() -> None:
    listed = {path.stem for path in (PACKAGE / "stages").iterdir() if path.suffix == ".py"} - {"__init__"}
    assert listed == STAGES


@pytest.mark.parametrize(
    ("library", "homes"),
    [
        ("dagster", {"defs", "definitions", "component"}),
        ("altair", {"report.drawing"}),
        ("duckdb", {"ledger.duckdb", "dataset.engine"}),  # published files are no ledger: no lock, no windows
        ("httpx", {"gitlab", "embedders", "sandbox"}),
        ("jinja2", {"report.page"}),
        ("pandas", {"dataset", "cli.backfill_files"}),  # and the lists that people have of what to sync
        ("prometheus_client", {"metrics.exposition"}),
        ("pyarrow", {"dataset", "cli.backfill_files", "ledger.duckdb.rows", "ledger.postgres.arrow"}),
        ("psycopg", {"ledger.postgres"}),
        ("sqlite3", {"defs.dagster_home", "webhook"}),
        ("standardwebhooks", {"webhook"}),
        ("typer", {"cli"}),
        ("vl_convert", {"report.drawing"}),
        ("xlsxwriter", {"dataset.export"}),
    ],
)
def test_each_library_has_one_home(library: str, homes: set[str]) -> None:
    strangers = [
        module
        for module, path in modules()
        if any(name.split(".")[0] == library for name in imports_of(path))
        and not any(f"{module}.".startswith(f"surgical_pipeline.{home}.") for home in homes)
    ]
    assert strangers == []


def test_only_one_module_chooses_what_a_ledger_is_stored_in() -> None:
    """The care of the file as a whole, for which another database has its own tools, is the command line's."""
    strangers = [
        f"{module} imports {name}"
        for module, path in modules()
        for database in ("duckdb", "postgres")
        if not module.startswith((f"surgical_pipeline.ledger.{database}.", "surgical_pipeline.cli."))
        and module != "surgical_pipeline.ledger.opening"
        for name in imports_of(path)
        if name.startswith(f"surgical_pipeline.ledger.{database}.")
    ]
    assert strangers == []


def test_private_modules_of_dagster_have_one_home() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, path in modules()
        if module != "surgical_pipeline.defs.dagster_internals"
        for name in imports_of(path)
        if name.split(".")[0].startswith("dagster") and any(part.startswith("_") for part in name.split("."))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "layer",
    [
        "domain",
        "documents",
        "search",
        "events",
        "gitlab",
        "ledger",
        "embedders",
        "dataset",
        "stages",
        "report",
        "sandbox",
        "metrics",
        "webhook",
    ],
)
def test_layers_below_defs_work_with_dagster_uninstalled(layer: str) -> None:
    names = [module.removesuffix(".__init__") for module, _ in modules() if layer_of(module) == layer]
    program = (
        "import sys, importlib\nsys.modules['dagster'] = None\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_starting_up_loads_no_heavy_library() -> None:
    """`dagster dev` and the command line wait for this import; models, data frames and servers can come later."""
    program = (
        "import sys, surgical_pipeline.definitions\n"
        "print([name for name in ('pandas', 'pyarrow', 'numpy', 'duckdb', 'wordllama', 'starlette', 'uvicorn', "
        "'altair', 'vl_convert', 'jinja2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("[]", "['duckdb']"), done.stdout


def test_help_is_shown_before_any_model_is_built() -> None:
    program = "import sys, surgical_pipeline.cli.main\nprint('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("command", ["search", "export", "metrics"])
def test_commands_that_read_the_ledger_alone_load_neither_dagster_nor_a_client(command: str) -> None:
    program = (
        f"import sys, surgical_pipeline.cli.actions.{command}\n"
        "print([name for name in ('dagster', 'sqlalchemy', 'httpx', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_domain_knows_only_the_standard_library_and_pydantic() -> None:
    allowed = {"surgical_pipeline", "pydantic", *sys.stdlib_module_names}
    wrong = {
        f"{module}: {name}"
        for module, path in modules()
        if layer_of(module) == "domain"
        for name in imports_of(path)
        if name.split(".")[0] not in allowed
    }
    assert wrong == set()


def test_no_file_is_named_for_nothing_in_particular() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert [str(path) for _, path in modules() if path.stem in vague] == []


def test_packages_have_empty_init_files_but_for_the_sql_loader_and_the_door_for_readers() -> None:
    filled = {path for path in PACKAGE.rglob("__init__.py") if path.read_text().strip()}
    assert filled == {PACKAGE / "ledger" / "sql" / "__init__.py", PACKAGE / "dataset" / "__init__.py"}


def test_files_stay_short_enough_to_read_at_once() -> None:
    long = {
        str(path.relative_to(PACKAGE)): length
        for _, path in modules()
        if (length := len(path.read_text(encoding="utf-8").splitlines())) > 310
    }
    assert long == {}
