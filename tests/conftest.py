"""Fixtures every test may use."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of real data, from TRUCELINE_DATA; the test is skipped where it is absent."""
    named = os.environ.get("TRUCELINE_DATA")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(
            f"no real data: TRUCELINE_DATA is {named or 'unset'} and {folder.name}/ is not beside the repository"
        )
    return folder.resolve()
