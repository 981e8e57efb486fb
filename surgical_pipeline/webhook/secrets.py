"""The secrets of hooks, as the environment gives them; several while one is replaced."""

import base64

from pydantic import SecretStr

from surgical_pipeline.settings import QUOTES, Settings, SettingsError

_PREFIX = "whsec_"
_KEY_BYTES = range(24, 65)


def secret_tokens(settings: Settings) -> tuple[SecretStr, ...]:
    """What hooks send as ``X-Gitlab-Token``; none if not set.

    Raises:
        SettingsError: ``SURGICAL_WEBHOOK_SECRET`` holds something that no secret token is.
    """
    secrets = _listed(settings, "SURGICAL_WEBHOOK_SECRET")
    for secret in secrets:
        if secret.startswith(_PREFIX):
            raise SettingsError(
                "SURGICAL_WEBHOOK_SECRET holds a signing token: set it as SURGICAL_WEBHOOK_SIGNING_TOKEN"
            )
        if not secret.isascii() or not secret.isprintable():
            raise SettingsError("SURGICAL_WEBHOOK_SECRET holds characters that no header has: choose another")
    return tuple(map(SecretStr, secrets))


def signing_tokens(settings: Settings) -> tuple[SecretStr, ...]:
    """What hooks are signed with; none if not set.

    Raises:
        SettingsError: ``SURGICAL_WEBHOOK_SIGNING_TOKEN`` holds something that no signing token is.
    """
    tokens = _listed(settings, "SURGICAL_WEBHOOK_SIGNING_TOKEN")
    for token in tokens:
        if not _is_signing_token(token):
            raise SettingsError(
                "SURGICAL_WEBHOOK_SIGNING_TOKEN holds something that is no signing token: "
                "whsec_ and the base64 of 24 to 64 bytes. Copy it again from GitLab"
            )
    return tuple(map(SecretStr, tokens))


def _listed(settings: Settings, name: str) -> list[str]:
    """Values with commas or blanks between them; empty if the variable is not set.

    Raises:
        SettingsError: one is in quotes, or there are commas and no value.
    """
    value = settings.environment.get(name, "").strip()
    values = value.replace(",", " ").split()
    if value and not values:
        raise SettingsError(f"{name} holds commas and no value: set it to one or several, or unset it")
    if any(one[:1] in QUOTES or one[-1:] in QUOTES for one in values):
        raise SettingsError(f"{name} is in quotes, and they are part of the value: set it without them")
    return values


def _is_signing_token(text: str) -> bool:
    """GitLab's own hold 32 bytes."""
    try:
        key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except ValueError:
        return False
    return text.startswith(_PREFIX) and len(key) in _KEY_BYTES
