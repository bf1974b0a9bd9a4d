from pathlib import Path

import pytest

from node import settings
from node.core.completeness import QuietTimes
from node.errors import SettingsInvalid
from node.settings import Settings

WHOLE = """
[node]
data = "/srv/overread"

[[peer]]
name = "modality"
roles = ["source"]
ae_title = "MODALITY"
time_zone = "Europe/Vienna"
quiet_short_s = 3
results_to = ["pacs", "ehr"]

[[peer]]
name = "pacs"
roles = ["source", "archive"]
ae_title = "PACS"
host = "pacs.example"
port = 104

[[peer]]
name = "ehr"
roles = ["ehr"]
fhir = { url = "https://ehr.example/fhir", token_env = "EHR_TOKEN" }

[[rule]]
name = "heads"
model = "brain-extraction"
select = { Modality = "MR" }
destinations = ["pacs"]
"""


def load(folder: Path, text: str, environment: dict[str, str] | None = None) -> Settings:
    path = folder / "overread.toml"
    path.write_text(text, encoding="utf-8")
    return settings.load(path, environment or {})


def faults(folder: Path, text: str, environment: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(SettingsInvalid) as invalid:
        load(folder, text, environment)
    return invalid.value.faults


def test_a_whole_configuration(tmp_path: Path) -> None:
    read = load(tmp_path, WHOLE)
    assert read.node.data == Path("/srv/overread")
    assert read.node.ae_title == "OVERREAD"
    assert read.peer_named("modality").results_to == ("pacs", "ehr")
    assert read.peer_named("modality").quiet == QuietTimes(short_s=3, long_s=120)
    (rule,) = read.rules
    assert (rule.name, rule.model, rule.destinations) == ("heads", "brain-extraction", ("pacs",))
    assert rule.select.failures({"Modality": "CT"}) == ("Modality must be MR",)


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(tmp_path, WHOLE).node.ae_title = "OTHER"  # type: ignore[misc] # the mistake itself


def test_every_error_is_told_at_once(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        """
        [node]
        ae_title = "A TITLE THAT IS TOO LONG"
        [listener]
        port = 70000
        [queue]
        lease_s = 0
        [[peer]]
        name = "No Spaces"
        roles = ["printer"]
        [[rule]]
        name = "r"
        model = "m"
        select = { SliceThickness = { about = 3 } }
        """,
    )
    places = [fault.split(": ")[1] for fault in found]
    assert set(places) >= {
        "node.data",
        "node.ae_title",
        "listener.port",
        "queue.lease_s",
        "peer.0.name",
        'rule "r"',
    }
    assert any('rule "r": select.SliceThickness.about: ' in fault for fault in found)
    assert any(place.startswith("peer.0.roles") for place in places)
    assert all(str(tmp_path / "overread.toml") in fault for fault in found)


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ('[node]\ndata = "/d"\ncolour = 3\n', "node.colour"),
        ('[node]\ndata = "/d"\n[lister]\nport = 1\n', "lister"),
        ('[node]\ndata = "/d"\n[[peer]]\nname = "a"\nae_titel = "A"\n', "peer.0.ae_titel"),
        ('[node]\ndata = "/d"\n[[rule]]\nname = "r"\nmodel = "m"\nwhen = 1\n', 'rule "r": when'),
    ],
)
def test_unknown_keys_are_errors(tmp_path: Path, more: str, place: str) -> None:
    assert any(f" {place}: " in fault for fault in faults(tmp_path, more))


@pytest.mark.parametrize(
    ("peer", "words"),
    [
        ('roles = ["ehr"]', "a peer with the role ehr needs fhir.url"),
        ('roles = ["source"]', "a peer with the role source needs ae_title"),
        ('roles = ["archive"]\nae_title = "A"', "needs ae_title, host and port"),
        ('roles = ["archive"]\nhost = "h"\nport = 1', "needs ae_title, host and port"),
        (
            'roles = ["archive"]\ndicomweb = { url = "https://x" }',
            "needs ae_title, host and port, or dicomweb.store",
        ),
        (
            'roles = ["archive"]\ndicomweb = { url = "https://x", store = true }\ncommitment = true',
            "commitment is for a peer with ae_title, host and port",
        ),
        (
            'roles = ["archive"]\ndicomweb = { url = "https://x", store = true, '
            'auth = { kind = "client-secret", client_id = "a", secret = "env:S" } }',
            'auth of dicomweb is a token, or kind = "basic"',
        ),
        ("roles = []", "roles"),
        ('roles = ["ehr"]\nfhir = { url = "ftp://x" }', "fhir.url"),
        ('roles = ["source"]\nae_title = "A"\ntime_zone = "Europe/Vinea"', "no time zone"),
        ('roles = ["source"]\nae_title = "A"\ntime_zone = "../../etc/passwd"', "no time zone"),
        ('roles = ["source"]\nae_title = "A\\\\B"', "ae_title"),
        ('roles = ["source"]\nae_title = "   "', "ae_title"),
    ],
)
def test_a_peer_is_whole(tmp_path: Path, peer: str, words: str) -> None:
    text = f'[node]\ndata = "/d"\n[[peer]]\nname = "p"\n{peer}\n'
    assert words in " ".join(faults(tmp_path, text))


def test_an_archive_of_the_web_needs_no_ae_title_unless_images_are_fetched_from_it(
    tmp_path: Path,
) -> None:
    text = (
        WHOLE
        + """
[[peer]]
name = "cloud"
roles = ["archive"]
dicomweb = { url = "https://x", store = true, auth = { kind = "basic", client_id = "a", secret = "env:S" } }
"""
    )
    assert load(tmp_path, text).peer_named("cloud").stows
    (fault,) = faults(tmp_path, text.replace("results_to =", 'archive = "cloud"\nresults_to ='))
    assert "archive: cloud needs ae_title, host and port to be fetched from" in fault


def test_spaces_around_an_ae_title_have_no_meaning(tmp_path: Path) -> None:
    read = load(tmp_path, WHOLE.replace('"MODALITY"', '" MODALITY "'))
    assert read.peer_named("modality").ae_title == "MODALITY"


def test_names_agree(tmp_path: Path) -> None:
    text = WHOLE.replace('results_to = ["pacs", "ehr"]', 'results_to = ["pasc", "modality"]')
    text = text.replace('destinations = ["pacs"]', 'destinations = ["nobody"]')
    text += '\n[[peer]]\nname = "ehr"\nroles = ["source"]\nae_title = "PACS"\n'
    (fault,) = faults(tmp_path, text)
    assert "the name ehr is used twice" in fault
    assert "the ae_title PACS is used twice" in fault
    assert "peer modality: results_to: no peer pasc with the role archive, ehr or oru" in fault
    assert "peer modality: results_to: no peer modality" in fault
    assert "rule heads: destinations: no peer nobody" in fault


def test_a_name_is_short_enough_for_every_key_that_holds_it(tmp_path: Path) -> None:
    longest = "p" * 31
    assert load(tmp_path, WHOLE.replace('"pacs"', f'"{longest}"')).peer[1].name == longest
    assert faults(tmp_path, WHOLE.replace('"pacs"', f'"{longest}p"'))


def test_the_environment_overrides_single_values(tmp_path: Path) -> None:
    environment = {
        "OVERREAD_NODE__DATA": "/var/lib/overread",
        "OVERREAD_LISTENER__PORT": "4242",
        "OVERREAD_QUEUE__LEASE_S": "2.5",
        "OVERREAD_CONFIG": "/not/a/value",
        "HOME": "/root",
    }
    read = load(tmp_path, WHOLE, environment)
    assert read.node.data == Path("/var/lib/overread")
    assert read.listener.port == 4242
    assert read.queue.lease_s == 2.5


def test_a_mistake_in_the_environment_is_told_like_one_in_the_file(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, WHOLE, {"OVERREAD_LISTENER__PORT": "many"})
    assert "listener.port" in fault
    (fault,) = faults(tmp_path, WHOLE, {"OVERREAD_LISTENER__PROT": "1"})
    assert "listener.prot" in fault


@pytest.mark.parametrize("name", ["OVERREAD_PEER__NAME", "OVERREAD_RULE__MODEL"])
def test_the_environment_reaches_no_list(tmp_path: Path, name: str) -> None:
    (fault,) = faults(tmp_path, WHOLE, {name: "x"})
    assert fault.startswith(name)


def test_a_secret_stays_where_it_is(tmp_path: Path) -> None:
    read = load(tmp_path, WHOLE, {"EHR_TOKEN": "sesame"})
    fhir = read.peer_named("ehr").fhir
    assert fhir is not None
    assert fhir.token_env == "EHR_TOKEN"
    assert "sesame" not in repr(read)


def test_a_peer_that_was_taken_out_of_the_file_stops_nothing(tmp_path: Path) -> None:
    former = load(tmp_path, WHOLE).peer_named("removed")
    assert former.name == "removed"
    assert former.quiet == QuietTimes(short_s=5, long_s=120)
    assert former.results_to == ()
    assert former.default_issuer is None
    assert former.time_zone is None


def test_an_absent_or_broken_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="No such file"):
        settings.load(tmp_path / "absent.toml", {})
    (fault,) = faults(tmp_path, "[node\n")
    assert "overread.toml" in fault


def test_an_empty_file_lacks_what_has_no_default(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, "")
    assert ": node: " in fault


def test_an_unknown_keyword_is_told_with_file_rule_key_and_what_was_meant(tmp_path: Path) -> None:
    text = """
        [node]
        data = "/data"
        [[rule]]
        name = "heads"
        model = "brain-extraction"
        select = { SeriesDescripton = { regex = "t1" } }
        prefer = [{ SliceThicknes = { max = 1 } }]
        [exclude]
        more = [{ "0019,100c SIEMENS MR HEADER" = 1 }]
        """
    path = tmp_path / "overread.toml"
    assert set(faults(tmp_path, text)) == {
        f'{path}: rule "heads": select.SeriesDescripton: no such DICOM keyword; '
        "did you mean SeriesDescription?",
        f'{path}: rule "heads": prefer.0.SliceThicknes: no such DICOM keyword; '
        "did you mean SliceThickness?",
        f"{path}: exclude: more.0.0019,100c SIEMENS MR HEADER: the block is each object's own: "
        "write 0019,0c and the creator",
    }


def test_rules_may_ask_for_private_elements(tmp_path: Path) -> None:
    text = WHOLE.replace(
        'select = { Modality = "MR" }', 'select = { "0019,0c SIEMENS MR HEADER" = { min = 1 } }'
    )
    (rule,) = load(tmp_path, text).rules
    assert rule.select.keys == {"0019,0c SIEMENS MR HEADER"}


@pytest.mark.parametrize(
    ("uid", "fault"),
    [
        ("1.3.12.2.1107.5.9.1", None),
        ("1.2.840.10008.5.1.4.1.1.999", None),
        ("1.2.840.10008.5.1.4.1.2.2.1", "no storage SOP class"),
        ("1.02", "pattern"),
    ],
)
def test_sop_classes_that_the_site_names(tmp_path: Path, uid: str, fault: str | None) -> None:
    text = f'[node]\ndata = "/data"\n[listener]\nsop_classes = ["{uid}"]\n'
    if fault is None:
        assert load(tmp_path, text).listener.sop_classes == (uid,)
    else:
        assert fault in " ".join(faults(tmp_path, text))


LANE = WHOLE.replace(
    "port = 104\n",
    """port = 104
takes = [{ ContentQualification = "PRODUCT", Present = { present = true } }]

[peer.delivery]
concurrency = 2
backoff_longest_s = 60
closed = ["02:00-04:00", "Sun 22:00-06:00"]
time_zone = "Europe/Vienna"
daily_cap = 500
""",
)


def test_a_destination_has_a_lane_and_criteria(tmp_path: Path) -> None:
    pacs = load(tmp_path, LANE).peer_named("pacs")
    lane = pacs.lane
    assert (lane.destination, lane.concurrency, lane.daily_cap) == ("pacs", 2, 500)
    assert (lane.backoff.first_s, lane.backoff.longest_s, lane.zone) == (2.0, 60.0, "Europe/Vienna")
    assert [(str(one.begins), str(one.ends), one.weekday) for one in lane.closed] == [
        ("02:00:00", "04:00:00", None),
        ("22:00:00", "06:00:00", 6),
    ]
    (criteria,) = pacs.criteria
    assert criteria.keys == {"ContentQualification", "Present"}


def test_a_destination_without_a_table_has_the_common_lane(tmp_path: Path) -> None:
    lane = load(tmp_path, WHOLE).peer_named("pacs").lane
    assert (lane.concurrency, lane.breaker_after, lane.closed, lane.daily_cap) == (1, 3, (), None)


@pytest.mark.parametrize(
    ("former", "wrong", "words"),
    [
        ('"02:00-04:00"', '"2-4"', "expected"),
        ('"02:00-04:00"', '"02:00-02:00"', "expected"),
        ('"02:00-04:00"', '"Day 02:00-04:00"', "expected"),
        ("backoff_longest_s = 60", "backoff_longest_s = 1", "longer"),
        ("Present = {", "Finding = {", "a result has Model"),
        ("Present = {", "Present = { colour = 1,", "no such criterion"),
        (
            '[{ ContentQualification = "PRODUCT", Present = { present = true } }]',
            "[{}]",
            "take all",
        ),
        ("concurrency = 2", "concurrency = 17", "less than or equal to 16"),
    ],
)
def test_a_lane_that_is_not_understood(tmp_path: Path, former: str, wrong: str, words: str) -> None:
    assert former in LANE
    (fault,) = faults(tmp_path, LANE.replace(former, wrong))
    assert words in fault
