"""Fixtures every test may use."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# What lands is judged on the same examples each time; `make fuzz` looks for new ones.
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("fresh", print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


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
