"""What tests of the domain share."""

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def growthbook_cases(shared_data: Path) -> dict[str, Any]:
    """GrowthBook's language-neutral test vectors: a list of cases for each section."""
    cases: dict[str, Any] = json.loads((shared_data / "growthbook-cases.json").read_text("utf-8"))
    return cases
