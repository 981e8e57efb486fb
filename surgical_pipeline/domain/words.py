"""How sentences for people write what programs count."""


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Such as ``1 run``, ``2,000 runs`` or, with its plural, ``3 entities``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
