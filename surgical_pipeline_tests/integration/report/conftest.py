from surgical_pipeline_tests.integration.ledger.conftest import (
    backend,
    clock,
    empty_database,
    empty_file,
    ledger,
    new_ledger,
)

__all__ = ["backend", "clock", "empty_database", "empty_file", "ledger", "new_ledger"]
