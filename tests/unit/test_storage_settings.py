"""What storage.yaml may say, and that no secret gets from it into what people and processes can see."""

from pathlib import Path

import pytest

from formats.errors import DataError, DeclarationError
from formats.home import Home
from resources.delta_lake import DeltaLake
from resources.lake_places import open_lake
from resources.object_place import ObjectPlace, connection_options
from resources.storage_settings import read_storage_settings

SECRET = "hunter2-not-a-secret"


def settings(home: Home, text: str) -> ObjectPlace | None:
    home.storage_settings.write_text(text)
    return read_storage_settings(home).lake


@pytest.mark.parametrize("text", [None, "", "# nothing\n", "lake:\n"])
def test_without_a_choice_the_lake_is_in_the_home(home: Home, text: str | None) -> None:
    if text is not None:
        settings(home, text)
    lake = open_lake(home)
    assert isinstance(lake, DeltaLake)
    assert lake.address == str(home.lake)


def test_all_that_can_be_chosen(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    monkeypatch.setenv("TOKEN_OF_THE_TEST", "temporary")
    place = settings(
        home,
        f"""
        lake:
          bucket: roadbed
          prefix: production/lake
          endpoint: https://objects.example.org
          region: eu-central-1
          key_id: roadbed
          secret_file: {secret}
          session_token_variable: TOKEN_OF_THE_TEST
        """,
    )
    assert place is not None
    assert place.address == "s3://roadbed/production/lake"
    assert SECRET not in repr(place)
    assert connection_options(place) == {
        "aws_conditional_put": "etag",
        "aws_region": "eu-central-1",
        "aws_endpoint_url": "https://objects.example.org",
        "aws_allow_http": "false",
        "aws_access_key_id": "roadbed",
        "aws_secret_access_key": SECRET,
        "aws_session_token": "temporary",
    }


def test_without_a_key_the_machines_own_identity_counts() -> None:
    assert connection_options(ObjectPlace(bucket="roadbed")).keys() == {"aws_region", "aws_conditional_put"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bucket: Roadbed", "bucket"),
        ("bucket: roadbed\n  prefix: /lake", "prefix"),
        ("bucket: roadbed\n  prefix: a b", "prefix"),
        ("bucket: roadbed\n  secret: hunter2-not-a-secret", "unknown field"),
        ("bucket: roadbed\n  key_id: roadbed", "come together"),
        ("bucket: roadbed\n  secret_file: /a", "come together"),
        ("bucket: roadbed\n  key_id: a\n  secret_file: /a\n  secret_variable: A", "either in a file or in a variable"),
        ("bucket: roadbed\n  key_id: a\n  secret_file: secret", "not an absolute path"),
        ("bucket: roadbed\n  session_token_variable: A", "belongs to a key_id"),
        ("bucket: roadbed\n  endpoint: http://objects.example.org", "in the clear"),
        ("bucket: roadbed\n  endpoint: https://me:hunter2-not-a-secret@objects.example.org", "without user"),
        ("bucket: roadbed\n  endpoint: https://objects.example.org:99999", "port"),
        ("bucket: roadbed\n  endpoint: ftp://objects.example.org", "http"),
        ("endpoint: https://objects.example.org", "bucket"),
    ],
)
def test_what_cannot_be_meant_is_refused_without_telling_a_secret(home: Home, text: str, said: str) -> None:
    home.storage_settings.write_text(f"lake:\n  {text}\n")
    with pytest.raises(DeclarationError, match=said) as caught:
        open_lake(home)
    assert caught.value.code == "declaration-invalid"
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("named", ["secret_variable: NOT_SET_ANYWHERE", "secret_file: /nowhere/at/all"])
def test_a_secret_that_cannot_be_read_is_said(home: Home, named: str) -> None:
    settings(home, f"lake:\n  bucket: roadbed\n  key_id: roadbed\n  {named}\n")
    with pytest.raises(DataError, match=named.rpartition(" ")[2]) as caught:
        open_lake(home)
    assert caught.value.code == "storage-refused"
