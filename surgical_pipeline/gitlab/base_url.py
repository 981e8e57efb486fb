"""The base URL of a GitLab, as people write it and as we keep it."""

from urllib.parse import urlsplit

API_PREFIX = "/api/v4"
_EXAMPLE = "https://gitlab.example.com"


def validate_base_url(text: str) -> str:
    """The URL of a GitLab, without a trailing slash or ``/api/v4``; a path prefix stays (``https://host/gitlab``).

    Raises:
        ValueError: not http(s), no host, or with credentials, query or fragment. The sentence never repeats what
            may be a password.
    """
    import httpx  # noqa: PLC0415  what only reads a ledger asks no GitLab, and httpx takes 0.1 s to import

    text = text.strip()
    if any(char.isspace() or not char.isprintable() or char == "\\" for char in text):
        raise ValueError(f"the GitLab URL must not contain spaces, control characters or backslashes: {_EXAMPLE}")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
        httpx.URL(text)
    except (ValueError, httpx.InvalidURL):
        raise ValueError(f"the GitLab URL cannot be read; it looks like {_EXAMPLE}") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"the GitLab URL must begin with http:// or https://, like {_EXAMPLE}")
    if "@" in parts.netloc:
        raise ValueError("the GitLab URL must not contain a user name or password; set the token instead")
    if not host:
        raise ValueError(f"the GitLab URL has no host; it looks like {_EXAMPLE}")
    if "?" in text or "#" in text:
        raise ValueError(f"the GitLab URL must not contain a query or fragment (? or #); it looks like {_EXAMPLE}")
    path = parts.path.rstrip("/").removesuffix(API_PREFIX).rstrip("/")
    if any(segment in ("", ".", "..") for segment in path.split("/")[1:]):
        raise ValueError("the path of the GitLab URL must not contain empty segments, . or ..")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{f':{port}' if port else ''}{path}"
