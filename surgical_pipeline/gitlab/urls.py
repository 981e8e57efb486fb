"""The addresses built from the base URL of a GitLab, and which other addresses lie inside it."""

from collections.abc import Iterable
from urllib.parse import quote, urlencode

import httpx

from surgical_pipeline.gitlab.base_url import API_PREFIX, validate_base_url

Param = tuple[str, str]
"""One query parameter; repeated names (``iids[]``) are repeated pairs."""


def origin_of(url: httpx.URL) -> tuple[str, str, int]:
    """Scheme, host and port; two addresses with the same origin lead to the same server."""
    return url.scheme, url.host.lower(), url.port or {"http": 80, "https": 443}.get(url.scheme, 0)


def path_of(url: httpx.URL) -> str:
    """The path as sent, percent-encoded and without the query: what errors may show."""
    return url.raw_path.split(b"?", 1)[0].decode("ascii")


def split_api(url: httpx.URL) -> tuple[str, str] | None:
    """The base URL of any GitLab's API address, and the path behind ``/api/v4``; None for other addresses."""
    prefix, found, rest = url.path.partition(API_PREFIX + "/")
    return (f"{url.scheme}://{url.netloc.decode()}{prefix}", rest) if found else None


class ApiUrls:
    """Builds every address from the base URL and percent-encoded segments, and judges addresses from answers."""

    def __init__(self, base_url: str) -> None:
        self.base_url = validate_base_url(base_url)
        self._api = httpx.URL(self.base_url + API_PREFIX)
        self.origin = origin_of(self._api)

    def build(self, *segments: str | int, params: Iterable[Param] = ()) -> httpx.URL:
        path = "/".join(quote(str(segment), safe="") for segment in segments)
        query = urlencode(list(params))
        return httpx.URL(f"{self.base_url}{API_PREFIX}/{path}{query and '?'}{query}")

    def same_origin(self, url: httpx.URL) -> bool:
        return origin_of(url) == self.origin and not url.userinfo

    def in_api(self, url: httpx.URL) -> bool:
        """Same origin and below the API prefix."""
        return (
            self.same_origin(url) and url.path.startswith(self._api.path + "/") and ".." not in url.path.split("/")
        )


def resolve(base: httpx.URL, reference: str) -> httpx.URL | None:
    """An address from a ``Link`` or ``Location`` header, which may be relative; None if it cannot be read."""
    try:
        return base.join(reference)
    except (httpx.InvalidURL, ValueError):
        return None
