"""What stands in ``deploy`` is what the code takes."""

import re
import tomllib

from node.settings import Settings, load
from tests.unit.docs.pages import DOCS, ROOT

DEPLOY = ROOT / "deploy"


def test_the_example_is_a_valid_configuration() -> None:
    found = load(DEPLOY / "overread.example.toml", {})
    assert [peer.name for peer in found.peer] == ["pacs", "ehr"]
    assert found.rules[0].model == "brain-extraction"


def test_the_example_repeats_defaults_truly() -> None:
    table = tomllib.loads((DEPLOY / "overread.example.toml").read_text(encoding="utf-8"))
    own = {"data", "station_name"}
    for name in ("node", "listener", "queue", "inference", "web", "commitment"):
        plain = Settings.model_validate({"node": {"data": "/data"}})
        defaults = getattr(plain, name).model_dump()
        told = {key: value for key, value in table[name].items() if key not in own}
        assert told == {key: defaults[key] for key in told}, name


def test_tables_that_the_guides_show_are_valid() -> None:
    how_to = DOCS / "how-to"
    guides = [
        *how_to.glob("connect-*.md"),
        how_to / "write-a-rule.md",
        how_to / "look-at-results.md",
    ]
    for guide in sorted(guides):
        for block in re.findall(r"```toml\n(.*?)```", guide.read_text(encoding="utf-8"), re.DOTALL):
            lines = [line.removeprefix("   ") for line in block.splitlines()]
            table = tomllib.loads("\n".join(lines))
            Settings.model_validate({"node": {"data": "/data"}, **table})


def test_the_image_copies_what_exists() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    sources = [
        word for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE) for word in line.split()
    ]
    assert sources
    assert [name for name in sources if not (ROOT / name).exists()] == []


def test_the_image_has_a_python_that_the_project_takes() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = re.search(r"^FROM python:3\.(\d+)-", text, re.MULTILINE)
    assert found
    assert project["requires-python"] == ">=3.11,<3.13"
    assert found.group(1) in {"11", "12"}


def test_the_service_stops_as_long_as_its_roles_may_drain() -> None:
    from node.cli.supervisor import STOP_S

    text = (DEPLOY / "systemd" / "overread.service").read_text(encoding="utf-8")
    found = re.search(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)
    assert found
    assert int(found.group(1)) > STOP_S
