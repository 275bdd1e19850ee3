"""Where ledger, anchors and service are: what authority.yaml may say, and that every anchor counts."""

import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from formats.errors import DeclarationError, LedgerError, PromotionError
from formats.home import VARIABLE, Home
from formats.signing import new_private_key, public_pem
from platform_assets.cli.main import app
from platform_assets.promotion.authority_client import LocalAuthority
from platform_assets.promotion.desk import Desk, examine, initialise
from platform_assets.promotion.keys import load_key
from platform_assets.promotion.service_client import ServiceAuthority, authority_of
from resources.anchor_store import FileAnchorStore
from resources.authority_settings import AuthoritySettings, read_settings
from resources.installation import installation_at
from resources.ledger import Draft
from resources.ledger_places import anchor_stores, open_ledger
from resources.postgres_ledger import PostgresLedger
from resources.sqlite_ledger import SqliteLedger
from tests.support.ledgers import AT, add, rewrite, tamper

ROOT = Path(__file__).parents[3]


def configure(home: Home, text: str) -> None:
    home.authority.mkdir(parents=True, exist_ok=True)
    (home.authority / "authority.yaml").write_text(text)


def test_without_a_file_everything_is_embedded(home: Home) -> None:
    assert read_settings(home) == AuthoritySettings()
    assert isinstance(open_ledger(home), SqliteLedger)
    assert [store.where for store in anchor_stores(home)] == [f"file {home.anchor}"]
    assert isinstance(authority_of(home), LocalAuthority)


def test_each_part_is_chosen_by_itself(home: Home) -> None:
    configure(
        home,
        """
ledger: {postgres: host=db.example.org dbname=roadbed}
anchors: [{file: /mnt/elsewhere/anchor.json}, {git: /srv/anchors.git}]
service: {url: "https://authority.example.org", token_file: /etc/token}
""",
    )
    assert isinstance(open_ledger(home), PostgresLedger)
    assert isinstance(installation_at(home).ledger, PostgresLedger)
    assert [store.where for store in anchor_stores(home)] == ["file /mnt/elsewhere/anchor.json", "git /srv/anchors.git"]
    assert isinstance(authority_of(home), ServiceAuthority)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ledger: [", "line 1 is not YAML"),
        ("ledgers: {}", "unknown field"),
        ("ledger: {}", "postgres"),
        ("anchors: []", "without any anchor"),
        ("anchors: [{}]", "either a file or a git"),
        ("anchors: [{file: /a, git: /b}]", "either a file or a git"),
        ("anchors: [{file: anchor.json}]", "absolute path"),
        ("service: {url: 'http://authority.example.org', token_file: /t}", "in the clear"),
        ("service: {url: 'ftp://127.0.0.1', token_file: /t}", "in the clear"),
    ],
)
def test_what_cannot_be_meant_is_refused(home: Home, text: str, message: str) -> None:
    configure(home, text)
    with pytest.raises(DeclarationError, match=message) as caught:
        read_settings(home)
    assert "authority.yaml" in caught.value.message


class Anchored:
    """An installation whose head is anchored in a file and a git repository, with a signed entry."""

    def __init__(self, home: Home, folder: Path) -> None:
        self.home, self.file, self.git = home, folder / "elsewhere" / "anchor.json", folder / "anchors.git"
        subprocess.run(["git", "init", "--quiet", "--bare", self.git], check=True)
        configure(home, f"anchors: [{{file: {self.file}}}, {{git: {self.git}}}]")
        initialise(home)
        self.bar(1)

    def bar(self, number: int) -> None:
        Desk(self.home).append([Draft("bar", "sha256:a", {"number": number}, {})], "test", lambda _: None)

    def heads(self) -> list[bytes | None]:
        return [store.load() for store in anchor_stores(self.home)]


@pytest.fixture
def anchored(home: Home, tmp_path: Path) -> Anchored:
    return Anchored(home, tmp_path)


def test_each_entry_is_anchored_everywhere(anchored: Anchored) -> None:
    before = anchored.heads()
    anchored.bar(2)
    assert not any(was == now for was, now in zip(before, anchored.heads(), strict=True))
    assert examine(anchored.home).ok
    assert not anchored.home.anchor.exists()


@pytest.mark.attack
def test_one_honest_anchor_is_enough_to_find_a_cut(anchored: Anchored) -> None:
    early = anchored.file.read_bytes()
    anchored.bar(2)
    tamper(anchored.home.ledger, ("DELETE FROM entries WHERE sequence = 2", ()))
    anchored.file.write_bytes(early)
    report = examine(anchored.home)
    assert [finding.damage for finding in report.findings] == ["tail-cut"]
    assert f"git {anchored.git}" in report.findings[0].message
    with pytest.raises(LedgerError, match="anchored row 2"):
        Desk(anchored.home)
    with pytest.raises(LedgerError, match="not anchored anew"):
        initialise(anchored.home)


def test_a_lost_anchor_stops_decisions_until_another_vouches_for_it(anchored: Anchored) -> None:
    anchored.file.unlink()
    with pytest.raises(LedgerError, match=r"there is no anchor in file .*anchor\.json"):
        Desk(anchored.home)
    initialise(anchored.home)
    assert examine(anchored.home).ok
    anchored.bar(2)


def test_the_last_anchor_is_not_made_anew(anchored: Anchored) -> None:
    configure(anchored.home, f"anchors: [{{file: {anchored.file}}}]")
    anchored.file.unlink()
    with pytest.raises(LedgerError, match="hide what was cut off"):
        initialise(anchored.home)
    assert not anchored.file.exists()


# roadbed ledger verify


def verify(home: Home, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[str]]:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv(VARIABLE, str(home.root))
    done = CliRunner().invoke(app, ["ledger", "verify"])
    return done.exit_code, (done.stdout + done.stderr).splitlines()


def test_the_command_needs_the_public_key_alone(anchored: Anchored, monkeypatch: pytest.MonkeyPatch) -> None:
    (anchored.home.authority / "key.pem").unlink()
    assert verify(anchored.home, monkeypatch) == (
        0,
        [
            "rows     1",
            f"anchor   file {anchored.file}",
            f"anchor   git {anchored.git}",
            "whole    chain, signatures and anchor hold",
        ],
    )
    (anchored.home.authority / "key.pub").unlink()
    status, told = verify(anchored.home, monkeypatch)
    assert (status, "there is no public key" in told[0]) == (1, True)
    with pytest.raises(PromotionError):
        examine(anchored.home)


def test_another_public_key_believes_nothing(anchored: Anchored, monkeypatch: pytest.MonkeyPatch) -> None:
    (anchored.home.authority / "key.pub").write_bytes(public_pem(new_private_key().public_key()))
    status, told = verify(anchored.home, monkeypatch)
    assert (status, sum(line.startswith("wrong") for line in told)) == (2, 3)


@pytest.mark.attack
@pytest.mark.parametrize("how", ["edited", "cut", "rewritten"])
def test_the_command_names_the_first_bad_row(home: Home, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    initialise(home)
    ledger, key = open_ledger(home), load_key(home)
    for number in range(4):
        add(ledger, "candidate", number, key)
    FileAnchorStore(home.anchor).write(ledger.head(), key, AT)
    if how == "edited":
        tamper(home.ledger, ("UPDATE entries SET actor = 'me' WHERE sequence = 2", ()))
    elif how == "cut":
        tamper(home.ledger, ("DELETE FROM entries WHERE sequence > 2", ()))
    else:
        rewrite(home.ledger, list(ledger.entries())[::-1])
    status, told = verify(home, monkeypatch)
    wrong = [line for line in told if line.startswith("wrong")]
    expected = {
        "edited": "wrong    row 2 (candidate) does not have the hash that it carries",
        "cut": f"wrong    the ledger ends at row 2; the authority anchored row 4 (file {home.anchor})",
        "rewritten": f"wrong    row 4 is not the one that the authority anchored (file {home.anchor})",
    }
    assert (status, wrong) == (2, [expected[how]])
