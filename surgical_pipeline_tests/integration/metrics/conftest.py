from surgical_pipeline_tests.integration.ledger.conftest import clock, empty_file, ledger, new_ledger

__all__ = ["clock", "empty_file", "ledger", "new_ledger"]
