"""Payloads bent out of shape: any value anywhere replaced, removed or added."""

from typing import Any

from hypothesis import strategies as st

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8)
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(), max_size=8), inner),
    max_leaves=12,
)


def bend(value: Any, data: st.DataObject) -> None:
    """Replace, remove or add one value somewhere inside."""
    while isinstance(value, dict | list) and value:
        key: Any = data.draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        if isinstance(value[key], dict | list) and value[key] and data.draw(st.booleans()):
            value = value[key]
            continue
        if data.draw(st.booleans()):
            value[key] = data.draw(json_values)
        else:
            del value[key]
        return
