"""How sentences for people write what programs count."""

_UNITS = ("bytes", "KB", "MB", "GB", "TB")
_THOUSAND = 1000


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Such as ``1 run``, ``2,000 runs`` or, with its plural, ``3 entities``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def size_in_words(size: int) -> str:
    """``1.4 MB``: by thousands, as disks are sold."""
    amount = float(size)
    for unit in _UNITS:
        if amount < _THOUSAND or unit == _UNITS[-1]:
            return f"{amount:,.0f} {unit}" if unit == "bytes" or amount >= 100 else f"{amount:.1f} {unit}"  # noqa: PLR2004
        amount /= _THOUSAND
    raise AssertionError("the last unit takes every size")
