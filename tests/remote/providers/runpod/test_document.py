from __future__ import annotations

import pytest

from tests.support.runpod_double.document import DOCUMENTS, written


@pytest.mark.slow
@pytest.mark.skipif(
    not DOCUMENTS.is_dir(), reason="RunPod's documents do not lie beside this clone"
)
def test_the_document_that_the_double_is_checked_against_is_valid_openapi() -> None:
    from openapi_spec_validator import validate

    assert len(written()["paths"]) > 1
    validate(written())
