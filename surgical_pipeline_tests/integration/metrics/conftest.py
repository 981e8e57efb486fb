from surgical_pipeline_tests.integration.ledger.conftest import (
    backend,
    clock,
    empty_file,
    ledger,
    new_ledger,
    used_database,
)

__all__ = ["backend", "clock", "empty_file", "ledger", "new_ledger", "used_database"]
