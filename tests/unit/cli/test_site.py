"""Which checkout, which home, which port, which environment."""

import shutil
from pathlib import Path

import pytest
import yaml

from formats.errors import HostError
from formats.home import Home
from platform_assets.cli import dagster_home, services, site
from platform_assets.cli.workspace import Location, write

ROOT = Path(__file__).parents[3]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "checkout"
    (root / "team_projects" / "rail" / "rail").mkdir(parents=True)
    (root / "team_projects" / "rail" / "rail" / "definitions.py").touch()
    shutil.copy(ROOT / "dagster.yaml", root)
    write(root)
    monkeypatch.chdir(root)
    return root


def test_defaults(checkout: Path) -> None:
    found = site.find_site()
    assert found == site.Site(checkout, Home(checkout / ".roadbed"), 3000)
    assert found.url == "http://127.0.0.1:3000"


def test_below_the_root_the_home_is_the_same(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout / "team_projects" / "rail")
    assert site.find_site().home.root == checkout / ".roadbed"


def test_option_before_environment_before_last_time(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.remember_port(site.find_site(3005))
    assert site.find_site().port == 3005
    monkeypatch.setenv("ROADBED_PORT", "3006")
    assert site.find_site().port == 3006
    assert site.find_site(3007).port == 3007
    monkeypatch.setenv("ROADBED_HOME", str(checkout / "elsewhere"))
    assert site.find_site().home.root == checkout / "elsewhere"


@pytest.mark.parametrize("text", ["http", "0", "70000", "-1"])
@pytest.mark.usefixtures("checkout")
def test_no_port(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("ROADBED_PORT", text)
    with pytest.raises(HostError, match="not a port"):
        site.find_site()


def test_outside_of_a_checkout_the_package_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert site.find_root() == ROOT


def test_a_dotenv_that_moves_the_state_is_refused(checkout: Path) -> None:
    (checkout / ".env").write_text("SECRET=1\nROADBED_HOME=.roadbed\n")
    site.find_site()
    (checkout / ".env").write_text("DAGSTER_HOME=/srv/dagster\n")
    with pytest.raises(HostError, match="DAGSTER_HOME=/srv/dagster") as raised:
        site.find_site()
    assert raised.value.code == "home-unusable"


def test_children_compile_bytecode_and_keep_to_their_threads(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    environment = site.find_site().environment()
    assert "PYTHONDONTWRITEBYTECODE" not in environment
    assert environment["OMP_NUM_THREADS"] == "2"
    assert environment["OPENBLAS_NUM_THREADS"] == "1"
    assert environment["DAGSTER_HOME"] == str(checkout / ".roadbed" / "dagster")


def test_both_ways_into_dagster_meet_in_the_same_files(checkout: Path) -> None:
    """`dagster dev` reads the checkout's file, `roadbed up` sets DAGSTER_HOME: runs, events and logs are the same files."""
    from dagster._core.instance.ref import InstanceRef

    found = site.find_site()
    found.home.dagster.mkdir(parents=True)
    digest = dagster_home.prepare_dagster_home(found)
    assert dagster_home.prepare_dagster_home(found) == digest
    plain = InstanceRef.from_dir(str(checkout / "temporary"), config_dir=str(checkout))
    ours = InstanceRef.from_dir(str(found.home.dagster))
    for part in ("storage_data", "local_artifact_storage_data", "compute_logs_data"):
        relative, absolute = (yaml.safe_load(getattr(ref, part).config_yaml)["base_dir"] for ref in (plain, ours))
        assert checkout / relative == Path(absolute), part
    assert plain.settings == ours.settings
    assert plain.settings["telemetry"] == {"enabled": False}


def test_sockets_have_short_paths(tmp_path: Path) -> None:
    location = Location("rail", "rail.definitions", "team_projects/rail")
    assert services.socket_of(Home(Path("/srv/home")), location) == Path("/srv/home/run/rail.sock")
    deep = Home(tmp_path / ("deep" * 40))
    assert len(str(services.socket_of(deep, location))) < 100
    assert services.socket_of(deep, location) == services.socket_of(deep, location)


def test_services_stop_in_order() -> None:
    names = ["webserver", "endpoint-runtime", "daemon", "code-rail", "code-platform"]
    assert services.stop_order(names) == ["daemon", "webserver", "code-platform", "code-rail", "endpoint-runtime"]
