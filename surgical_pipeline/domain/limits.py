"""What a run may take unless told otherwise: plain numbers, for `--help` shows them and loads nothing else."""

PREFLIGHT_BUDGET_SECONDS = 60
ENTITY_TIMEOUT_SECONDS = 20
DEPENDENTS_BUDGET_SECONDS = 120
EMBED_BUDGET_SECONDS = 300
MAX_REQUESTS_IN_FLIGHT = 16
DEFAULT_CHUNK = 500
MAX_CHUNK = 1000
"""Entities of one run. A run costs seconds of its own, and one that dies is done again as a whole."""
