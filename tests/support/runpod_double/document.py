"""The OpenAPI document that every request and answer is checked against."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from openapi_core import OpenAPI
    from werkzeug.wrappers import Request, Response

# Beside the repository.
DOCUMENTS = Path(__file__).resolve().parents[4] / "shared" / "runpod"


@cache
def openapi() -> OpenAPI:
    """The document, for any host."""
    from openapi_core import Config, OpenAPI  # 0.7 CPU s, which few tests need

    config = Config(
        spec_validator_cls=None,  # a test validates it: 0.6 CPU s, which each worker would need
        extra_media_type_deserializers={"application/problem+json": json.loads},
    )
    return OpenAPI.from_dict(written(), config=config)


@cache
def written() -> dict[str, Any]:
    """Return what stands in the document, for any host; only read."""
    # libyaml's, ten times as fast, where PyYAML was built with it
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    text = (DOCUMENTS / "openapi-v2-pods.yaml").read_text(encoding="utf-8")
    document = yaml.load(text, loader)
    return {**document, "servers": [{"url": "/"}]}


class NoTokenError(Exception):
    """A request without a bearer token."""


def faults_of(request: Request, document: OpenAPI) -> list[str]:
    """Return what is wrong with a request; nothing if it is as the document says.

    Raises:
        NoTokenError: there is no bearer token.
    """
    from openapi_core.contrib.werkzeug import WerkzeugOpenAPIRequest
    from openapi_core.exceptions import OpenAPIError

    try:
        document.validate_request(WerkzeugOpenAPIRequest(request))
    except OpenAPIError as err:
        if "Security" in type(err).__name__:
            raise NoTokenError from err
        errors = getattr(err.__cause__, "schema_errors", [])
        return [f"$: {error.message}" for error in errors] or [str(err)]
    return []


def check_answer(request: Request, answer: Response, document: OpenAPI) -> None:
    """Raise where the double's own answer is not as the document says."""
    from openapi_core.contrib.werkzeug import WerkzeugOpenAPIRequest, WerkzeugOpenAPIResponse

    document.validate_response(WerkzeugOpenAPIRequest(request), WerkzeugOpenAPIResponse(answer))
