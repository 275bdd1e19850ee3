"""What online.yaml may say, and that no secret gets from it into what people and processes can see."""

from pathlib import Path

import msgspec
import pytest

from formats.errors import DataError, DeclarationError
from formats.home import Home
from formats.redis_place import RedisPlace, connection_options
from resources.online_places import open_online_store
from resources.online_settings import read_online_settings
from resources.online_store import LmdbOnlineStore

SECRET = "hunter2-not-a-secret"


def settings(home: Home, text: str) -> RedisPlace | None:
    home.online_settings.write_text(text)
    return read_online_settings(home).redis


@pytest.mark.parametrize("text", [None, "", "# nothing\n", "redis:\n"])
def test_without_a_choice_the_store_is_in_the_home(home: Home, text: str | None) -> None:
    if text is not None:
        settings(home, text)
    store = open_online_store(home)
    assert isinstance(store, LmdbOnlineStore)
    assert store.address == str(home.online)


def test_all_that_can_be_chosen(home: Home, tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("password", "ca.pem", "client.pem", "client.key")}
    for path in files.values():
        path.write_text(f"{SECRET}\n")
    place = settings(
        home,
        f"""
        redis:
          url: rediss://cache.example.org:6380/3
          name: aviation
          user: roadbed
          password_file: {files["password"]}
          ca_file: {files["ca.pem"]}
          certificate_file: {files["client.pem"]}
          key_file: {files["client.key"]}
        """,
    )
    assert place is not None
    assert place.address == "rediss://cache.example.org:6380/3#aviation"
    assert open_online_store(home).address == place.address
    assert connection_options(place) == {
        "host": "cache.example.org",
        "port": 6380,
        "db": 3,
        "username": "roadbed",
        "password": SECRET,
        "ssl": True,
        "ssl_ca_certs": str(files["ca.pem"]),
        "ssl_certfile": str(files["client.pem"]),
        "ssl_keyfile": str(files["client.key"]),
    }
    assert SECRET not in msgspec.json.encode(place).decode()
    assert msgspec.json.decode(msgspec.json.encode(place), type=RedisPlace) == place


def test_what_is_left_out_has_redis_own_defaults() -> None:
    options = connection_options(RedisPlace(url="redis://localhost"))
    assert options == {"host": "localhost", "port": 6379, "db": 0, "username": None, "password": None}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("redis: {url: redis://localhost, passwort: x}", "unknown field `passwort`"),
        ("rediss: {url: redis://localhost}", "unknown field `rediss`"),
        ("redis: {name: a}", "missing required field `url`"),
        ("redis: redis://localhost", "got `str` - at `$.redis`"),
        ("redis:\n - [", "line 2 is not YAML"),
        ("redis: {url: 2013-99-99}", "a date or a number that does not exist"),
        ("redis: {url: 0b_}", "a date or a number that does not exist"),
        ("redis: {url: http://localhost}", "not of the form"),
        ("redis: {url: redis://localhost/cache}", "not of the form"),
        ("redis: {url: 'redis://localhost/1?db=2'}", "not of the form"),
        ("redis: {url: redis://}", "not of the form"),
        ("redis: {url: 'redis://localhost:99999'}", "no number below 65536"),
        ("redis: {url: redis://localhost, name: ''}", "name is empty"),
        ("redis: {url: redis://localhost, user: a}", "a user needs a password"),
        (
            "redis: {url: redis://localhost, password_file: /a, password_variable: B}",
            "either in a file or in a variable",
        ),
        ("redis: {url: redis://localhost, password_file: a}", "a is not an absolute path"),
        ("redis: {url: redis://example.org, password_file: /a}", "begins with rediss"),
        ("redis: {url: redis://example.org, ca_file: /a}", "begins with rediss"),
        ("redis: {url: rediss://example.org, key_file: /a}", "come together"),
    ],
)
def test_what_cannot_be_is_refused_by_name(home: Home, text: str, told: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        settings(home, text)
    assert told in caught.value.message
    assert "online.yaml" in caught.value.message


def test_a_file_of_other_bytes_is_refused_and_not_repeated(home: Home) -> None:
    home.online_settings.write_bytes(f"redis: {{url: {SECRET}\xff}}".encode("latin-1"))
    with pytest.raises(DeclarationError, match="is not UTF-8") as caught:
        read_online_settings(home)
    assert caught.value.code == "declaration-invalid"
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url", [f"redis://:{SECRET}@localhost", f"'rediss://a:{SECRET}@example.org:99999/x'", f"rediss://:{SECRET}@a?b"]
)
def test_a_password_in_the_url_is_refused_and_not_repeated(home: Home, url: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        settings(home, f"redis: {{url: {url}}}")
    assert SECRET not in str(caught.value)


def test_a_password_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    place = RedisPlace(url="redis://localhost", password_variable="ROADBED_REDIS_PASSWORD")
    with pytest.raises(DataError, match="ROADBED_REDIS_PASSWORD") as caught:
        connection_options(place)
    assert caught.value.code == "online-store-refused"
    monkeypatch.setenv("ROADBED_REDIS_PASSWORD", SECRET)
    assert connection_options(place)["password"] == SECRET


def test_a_secret_that_cannot_be_read_says_which_file(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name, told in (("absent", "FileNotFoundError"), ("binary", "UnicodeDecodeError"), ("", "IsADirectoryError")):
        place = RedisPlace(url="redis://localhost", password_file=str(tmp_path / name))
        with pytest.raises(DataError, match=f"{name}.* cannot be read: {told}"):
            connection_options(place)
