import gc
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from surgical_pipeline.defs.loading import loading

_WHILE_IMPORTED = """
import gc, json
import dagster
looked = []
gc.callbacks.append(lambda phase, info: looked.append(phase))
import surgical_pipeline.definitions
print(json.dumps([len(looked), gc.isenabled(), gc.get_freeze_count()]))
"""


@pytest.fixture(autouse=True)
def _looked_at_again() -> Iterator[None]:
    """The worker's objects, which `loading` excepts: other tests have what they left collected."""
    yield
    gc.unfreeze()


def test_python_never_looks_for_garbage_in_the_code_location() -> None:
    done = subprocess.run([sys.executable, "-c", _WHILE_IMPORTED], check=True, capture_output=True, text=True)
    looked, collects, kept = json.loads(done.stdout)
    assert looked == 0
    assert collects
    assert kept > 100_000


def test_after_an_error_all_is_as_it_was() -> None:
    gc.unfreeze()
    with pytest.raises(ImportError), loading():
        assert not gc.isenabled()
        raise ImportError
    assert gc.isenabled()
    assert not gc.get_freeze_count()


def test_who_does_without_goes_on_without() -> None:
    gc.disable()
    try:
        with loading():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
