"""Whatever the OpenAPI says may be asked, and what it says may not, is answered without breaking."""

import json
import shutil

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from a_door import Clock, a_door, note
from a_service import a_service, an_example
from truceline.serve.app import application
from truceline.serve.guard import Limits

#: Never end: the streams' own tests read them.
ENDLESS = ["/api/stream/events"]

#: Of each endpoint, each way, as each of them: what took long to find by hand came up within a few.
EXAMPLES = 6

#: As whom: one sees and does everything of the mission, one speaks for a party, one has not signed in.
WHO = {"officer": ("duty officer", "mission", None), "party": ("viewer", "parties", "party-a"), "nobody": None}


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    return an_example(tmp_path_factory.mktemp("openapi") / "example")


@pytest.fixture(scope="module", params=WHO)
def asking(request, example, tmp_path_factory):
    """The application on a copy of the mission, and the header of who asks."""
    folder = tmp_path_factory.mktemp(request.param) / "mission"
    shutil.copytree(example, folder)
    service, door = a_service(folder), a_door(folder, Clock())
    service.kept["door"], service.principal_of = door, door.principal_of
    app = application(service, Limits(requests_per_s=1e6, burst=1e6))
    if WHO[request.param] is None:
        return app, {}
    role, label, party = WHO[request.param]
    door.accounts.add("somebody", role, label, party, None, note())
    return app, {"Authorization": f"Bearer {door.accounts.add_token('somebody', note(), days=1)}"}


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["meant", "not meant"])
def test_nothing_that_is_asked_breaks_the_service(asking, mode):
    """No 5xx, whatever stands in path, query, headers and body: what cannot be is refused with a sentence."""
    app, headers = asking
    api = schemathesis.openapi.from_asgi("/openapi.json", app).exclude(path=ENDLESS)
    wrong: dict[str, str] = {}
    for found in api.get_all_operations():
        try:
            asked(found.ok(), mode, headers, wrong)
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE, found.ok().label  # nothing can be said there that is not meant
    assert wrong == {}


def asked(operation, mode, headers: dict[str, str], wrong: dict[str, str]) -> None:
    """Ask some things of one endpoint; what was answered wrongly goes into `wrong`."""

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case):
        answer = case.call(headers=headers)
        told = f"{answer.status_code} {case.path_parameters} {case.query} {case.body!r}: {answer.text[:200]}"
        if answer.status_code >= 500:
            wrong[operation.label] = told
        elif answer.status_code >= 400 and not isinstance(json.loads(answer.content)["detail"], str):
            wrong[operation.label] = f"no sentence: {told}"

    ask()
