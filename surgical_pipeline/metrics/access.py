"""Who may read metrics: whoever has the token or, where none is set, programs on this machine."""

import hmac
import ipaddress
from collections.abc import Mapping
from http import HTTPStatus

from pydantic import SecretStr

from surgical_pipeline.settings import QUOTES, Settings, SettingsError

_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
_BEARER = "bearer "


def token_of(settings: Settings) -> SecretStr | None:
    """What readers have to show: ``SURGICAL_METRICS_TOKEN``. None: it is not set, and only this machine may read.

    Raises:
        SettingsError: no header can hold it, or it is in quotes.
    """
    token = settings.text("SURGICAL_METRICS_TOKEN")
    if token.startswith(QUOTES) or token.endswith(QUOTES):
        raise SettingsError(
            "SURGICAL_METRICS_TOKEN is in quotes, and they are part of the value: set it without them"
        )
    if not token.isascii() or not token.isprintable() or " " in token:
        raise SettingsError("SURGICAL_METRICS_TOKEN holds characters that no token has: choose another")
    return SecretStr(token) if token else None


def is_loopback(host: str) -> bool:
    """Whether an address, or the name ``localhost``, can only be reached from this machine."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host == "localhost"
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def refusal(
    headers: Mapping[str, str], client: str | None, *, token: SecretStr | None
) -> tuple[HTTPStatus, str] | None:
    """Why this reader gets nothing; None if it may read.

    Args:
        headers: the request's, by lower-case names.
        client: the address at the other end of the connection.
        token: what it has to show as ``Authorization: Bearer …``; None: not set.
    """
    if token is not None:
        given = headers.get("authorization", "")
        shown = given[len(_BEARER) :].strip() if given.lower().startswith(_BEARER) else ""
        if hmac.compare_digest(shown.encode("utf-8", "replace"), token.get_secret_value().encode()):
            return None
        return (
            HTTPStatus.UNAUTHORIZED,
            "metrics need the token in SURGICAL_METRICS_TOKEN: Authorization: Bearer ...",
        )
    if client is not None and is_loopback(client) and not any(name in headers for name in _FORWARDED):
        return None
    return (
        HTTPStatus.FORBIDDEN,
        "without SURGICAL_METRICS_TOKEN only programs on this machine may read metrics, and not through a proxy",
    )
