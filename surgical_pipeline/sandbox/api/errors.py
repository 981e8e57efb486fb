"""GitLab's error answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request


class ApiError(Exception):
    """An answer other than 200: the status, the JSON body and further headers."""

    def __init__(
        self, status: int, body: Mapping[str, object], *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = headers


def unauthorized() -> ApiError:
    return ApiError(401, {"message": "401 Unauthorized"})


def forbidden() -> ApiError:
    return ApiError(403, {"message": "403 Forbidden"})


def insufficient_scope(needed: str) -> ApiError:
    text = "The request requires higher privileges than provided by the access token."
    return ApiError(403, {"error": "insufficient_scope", "error_description": text, "scope": needed})


def not_found(what: str = "") -> ApiError:
    """`404 Project Not Found` with a name, `404 Not found` without."""
    return ApiError(404, {"message": f"404 {what} Not Found" if what else "404 Not found"})


async def answer_api_error(_request: Request, error: Exception) -> Response:
    """Starlette's handler for `ApiError`."""
    if not isinstance(error, ApiError):
        raise error
    return JSONResponse(error.body, status_code=error.status, headers=error.headers)


async def answer_unknown_route(_request: Request, _error: Exception) -> Response:
    return JSONResponse({"error": "404 Not Found"}, status_code=404)


async def answer_wrong_method(_request: Request, _error: Exception) -> Response:
    return JSONResponse({"error": "405 Not Allowed"}, status_code=405)
