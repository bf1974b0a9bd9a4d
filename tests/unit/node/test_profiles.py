"""Which forms an archive is given, as the configuration says it."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from inference.results.profile import PROFILES, Profile, Segments
from node import settings
from node.bootstrap.forms import wish
from node.errors import SettingsInvalid
from node.settings import ProfileTable, Settings

ARCHIVE = 'name = "pacs"\nroles = ["archive"]\nae_title = "A"\nhost = "h"\nport = 1\n'


def load(folder: Path, peer: str = "", profiles: str = "") -> Settings:
    path = folder / "overread.toml"
    path.write_text(f'[node]\ndata = "/d"\n[[peer]]\n{ARCHIVE}{peer}\n{profiles}')
    return settings.load(path, {})


def fault(folder: Path, peer: str = "", profiles: str = "") -> str:
    with pytest.raises(SettingsInvalid) as invalid:
        load(folder, peer, profiles)
    return " ".join(invalid.value.faults)


def forms(read: Settings) -> tuple[str, ...]:
    return read.forms_of(read.peer_named("pacs"))


def test_whatever_a_profile_has_can_be_said() -> None:
    assert {field.name for field in fields(Profile)} | {"base"} == set(ProfileTable.model_fields)


def test_an_archive_that_names_none_is_given_the_generic_form(tmp_path: Path) -> None:
    assert forms(load(tmp_path)) == ("generic-pacs", *_after("generic-pacs"))


def test_an_archive_is_given_the_forms_that_follow_its_own(tmp_path: Path) -> None:
    read = load(tmp_path, 'profile = "labelmap"')
    assert forms(read) == ("labelmap", *_after("labelmap"))


def _after(name: str) -> tuple[str, ...]:
    following = PROFILES[name].otherwise
    return () if following is None else (following, *_after(following))


def test_an_own_profile_is_its_base_but_for_what_it_says(tmp_path: Path) -> None:
    own = """
    [[profile]]
    name = "ours"
    base = "ohif"
    segments = "LABELMAP"
    summary = true
    [[profile]]
    name = "theirs"
    base = "ours"
    summary = false
    otherwise = "none"
    """
    read = load(tmp_path, 'profile = "theirs"', own)
    ours = replace(PROFILES["ohif"], name="ours", segments=Segments.LABELMAP, summary=True)
    assert read.profiles["ours"] == ours
    assert read.profiles["theirs"] == replace(ours, name="theirs", summary=False, otherwise=None)
    assert forms(read) == ("theirs",)


def test_a_peer_that_is_no_archive_has_no_form(tmp_path: Path) -> None:
    path = tmp_path / "overread.toml"
    path.write_text(
        '[node]\ndata = "/d"\n[[peer]]\nname = "ehr"\nroles = ["ehr"]\nfhir = { url = "http://e" }\n'
    )
    read = settings.load(path, {})
    assert read.forms_of(read.peer_named("ehr")) == ()


@pytest.mark.parametrize(
    ("peer", "profiles", "words"),
    [
        ('profile = "ohiff"', "", "peer pacs: profile: no profile ohiff"),
        ("", '[[profile]]\nname = "ohif"\n', "the name ohif is used already"),
        ("", '[[profile]]\nname = "none"\n', "the name none is used already"),
        (
            "",
            '[[profile]]\nname = "a"\nbase = "b"\n[[profile]]\nname = "b"\n',
            "no profile b before",
        ),
        ("", '[[profile]]\nname = "a"\notherwise = "b"\n', "profile a: otherwise: no profile b"),
        (
            "",
            '[[profile]]\nname = "a"\notherwise = "b"\n[[profile]]\nname = "b"\notherwise = "a"\n',
            "profile a: otherwise goes in a circle",
        ),
        ("", '[[profile]]\nname = "a"\notherwise = "a"\n', "goes in a circle"),
        ("", '[[profile]]\nname = "a"\nsegments = "FRACTIONAL"\n', "segments"),
        ("", '[[profile]]\nname = "a"\nsegmnets = "BINARY"\n', "segmnets"),
        ('withdrawal = "delete"', "", 'withdrawal = "delete" and orthanc.url go together'),
        ('orthanc = { url = "http://o" }', "", "go together"),
        ('withdrawal = "reject"', "", "withdrawal"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    tmp_path: Path, peer: str, profiles: str, words: str
) -> None:
    assert words in fault(tmp_path, peer, profiles)


@pytest.mark.parametrize("key", ['profile = "ohif"', 'withdrawal = "iocm"'])
def test_forms_are_for_archives(tmp_path: Path, key: str) -> None:
    path = tmp_path / "overread.toml"
    path.write_text(
        f'[node]\ndata = "/d"\n[[peer]]\nname = "m"\nroles = ["source"]\nae_title = "M"\n{key}\n'
    )
    with pytest.raises(SettingsInvalid, match="role archive"):
        settings.load(path, {})


def test_what_was_learnt_of_an_archive_holds_while_nothing_of_it_is_changed(
    tmp_path: Path,
) -> None:
    own = '[[profile]]\nname = "ours"\nsummary = {}\notherwise = "pictures"\n'

    def configured(peer: str, summary: str = "true") -> str:
        read = load(tmp_path, f'profile = "ours"\n{peer}', own.format(summary))
        return wish(read, read.peer_named("pacs")).configured

    first = configured("")
    assert configured("timeout_s = 5.0") == first
    assert configured("", "false") != first
    changed = Settings.model_validate({
        "node": {"data": "/d"},
        "peer": [{"name": "pacs", "roles": ["archive"], "ae_title": "A", "host": "h", "port": 2}],
    })
    plain = load(tmp_path)
    assert (
        wish(changed, changed.peer_named("pacs")).configured
        != wish(plain, plain.peer_named("pacs")).configured
    )
