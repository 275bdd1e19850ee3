"""An endpoint with keys as a real process: who is let in, without a restart, under its supervisor, and beyond loopback."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from formats.endpoint_keys import FILE, EndpointKey, EndpointKeys, Scope, digest_of_key, new_key, write_keys
from formats.home import Home
from resources.local_endpoint_runtime import LocalEndpointRuntime
from tests.support.bundles import ENDPOINT, deploy_model, full_row
from tests.support.processes import PATIENCE, ROOT, Server, eventually, free_port, server, spooled

pytestmark = pytest.mark.service

INFER = "/v2/models/aviation/departure_delay/infer"
CALLER, WATCHER, SLOW = new_key(), new_key(), new_key()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    deploy_model(home)
    return home


def declared(name: str, key: str, *scopes: Scope, per_second: float | None = None) -> EndpointKey:
    digest = digest_of_key(key.encode()).hex()
    return EndpointKey(name=name, sha256=digest, scopes=scopes, per_second=per_second)


def put_keys(home: Home, *keys: EndpointKey) -> Path:
    path = home.endpoint(ENDPOINT) / FILE
    write_keys(path, EndpointKeys(keys=keys))
    return path


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def predicted(running: Server, key: str | None = None, path: str = "/predict") -> httpx.Response:
    return running.client.post(path, json=full_row(), headers=bearer(key) if key else {})


def got(running: Server, path: str, key: str | None = None) -> int:
    return running.client.get(path, headers=bearer(key) if key else {}).status_code


def test_each_key_opens_what_it_says_and_the_server_says_what_is_wrong(home: Home) -> None:
    put_keys(
        home,
        declared("shop", CALLER, "predict"),
        declared("watcher", WATCHER, "status", "metrics"),
        declared("slow", SLOW, "predict", per_second=0.01),
    )
    with server(home) as running:
        eventually(lambda: predicted(running, CALLER).status_code == 200)
        for path in ("/predict", INFER):
            for key in (None, "rbk_guessed", CALLER[:-1]):
                refused = predicted(running, key, path)
                assert (refused.status_code, refused.json()["code"]) == (401, "key-unknown")
                assert refused.headers["www-authenticate"] == "Bearer"
            refused = predicted(running, WATCHER, path)
            assert (refused.status_code, refused.json()["code"]) == (403, "key-not-allowed")
        assert predicted(running, CALLER, INFER).status_code == 422
        assert predicted(running, None, "/v2/models/other/infer").status_code == 401
        for path in ("/status", "/metrics", "/contract", "/openapi.json", "/v2/models/aviation/departure_delay"):
            assert got(running, path) == 401
        for path in ("/livez", "/readyz", "/v2", "/v2/health/live", "/v2/health/ready"):
            assert got(running, path) == 200
        assert [got(running, path, WATCHER) for path in ("/status", "/metrics", "/contract")] == [200] * 3
        assert [got(running, path, CALLER) for path in ("/status", "/metrics", "/contract")] == [403, 403, 200]
        assert predicted(running, SLOW).status_code == 200
        limited = predicted(running, SLOW)
        assert (limited.status_code, limited.json()["code"]) == (429, "rate-limited")
        assert 1 <= int(limited.headers["retry-after"]) <= 100
        metrics = running.client.get("/metrics", headers=bearer(WATCHER)).text
        assert 'roadbed_turned_away_total{code="rate-limited",reason="key"} 1' in metrics
        status = running.client.get("/status", headers=bearer(WATCHER))
        assert (status.json()["guarded"], status.json()["keys_fault"]) == (True, None)
        told = metrics + status.text + limited.text
        assert not [key for key in (CALLER, WATCHER, SLOW) if key in told or key[4:12] in told]


def test_who_is_not_let_in_is_neither_read_nor_inferred_nor_logged(home: Home) -> None:
    put_keys(home, declared("shop", CALLER, "predict"), declared("watcher", WATCHER, "metrics"))
    with server(home) as running:
        answer = eventually(lambda: found if (found := predicted(running, CALLER)).status_code == 200 else None)
        assert predicted(running).status_code == 401
        assert running.client.post("/predict", content=b" " * (5 << 20)).status_code == 401
        metrics = running.client.get("/metrics", headers=bearer(WATCHER)).text
        assert "roadbed_batch_rows_sum{} 1\n" in metrics
        eventually(lambda: list(spooled(home)) == [answer.json()["prediction"]])


def test_keys_come_and_go_without_a_restart_and_an_unusable_file_opens_nothing(home: Home) -> None:
    with server(home) as running:
        eventually(lambda: predicted(running).status_code == 200)
        path = put_keys(home, declared("shop", CALLER, "predict"))
        eventually(lambda: predicted(running).status_code == 401)
        assert predicted(running, CALLER).status_code == 200
        put_keys(home, declared("watcher", WATCHER, "predict", "status"))
        eventually(lambda: predicted(running, CALLER).status_code == 401)
        assert predicted(running, WATCHER).status_code == 200
        for damage in (path.unlink, lambda: path.write_text("{}"), lambda: path.write_text("{")):
            damage()
            path.exists() and path.chmod(0o666)
            fault = eventually(lambda: running.client.get("/status", headers=bearer(WATCHER)).json()["keys_fault"])
            assert fault["code"] == "keys-unusable"
            assert (predicted(running).status_code, predicted(running, WATCHER).status_code) == (401, 200)
            path.unlink(missing_ok=True)
        pid = running.process.pid
        put_keys(home, declared("shop", CALLER, "predict", "status"))
        eventually(lambda: predicted(running, CALLER).status_code == 200)
        assert running.client.get("/status", headers=bearer(CALLER)).json()["pid"] == pid


def test_the_supervisor_is_let_in_whatever_becomes_of_the_keys(home: Home) -> None:
    runtime = LocalEndpointRuntime(home)
    runtime.ensure_running()
    try:
        document = deploy_model(home, sequence=2)
        pid = runtime.wait_until_stable(ENDPOINT, document.release, PATIENCE).pid
        url = runtime.url(ENDPOINT)
        assert runtime.headers(ENDPOINT) == {}
        path = put_keys(home, declared("shop", CALLER, "predict"))
        eventually(lambda: httpx.get(f"{url}/status").status_code == 401)
        document = deploy_model(home, sequence=3, bias=1.0)
        assert runtime.wait_until_stable(ENDPOINT, document.release, PATIENCE).pid == pid
        answer = httpx.post(f"{url}/predict", json=full_row(), headers=runtime.headers(ENDPOINT))
        assert (answer.status_code, answer.json()["release"]) == (200, document.release)
        path.write_text("not keys")
        document = deploy_model(home, sequence=4, bias=2.0)
        observed = runtime.wait_until_stable(ENDPOINT, document.release, PATIENCE)
        assert (observed.pid, observed.restarts) == (pid, 0)
        assert httpx.get(f"{url}/status", headers=runtime.headers(ENDPOINT)).json()["keys_fault"]["code"] == (
            "keys-unusable"
        )
        log = (home.endpoint(ENDPOINT) / "server.log").read_text()
        own = runtime.headers(ENDPOINT)["authorization"].removeprefix("Bearer ")
        assert "1 keys are in force: shop" in log
        assert not [key for key in (CALLER, own) if key in log]
    finally:
        runtime.stop()


def test_beyond_loopback_it_serves_with_keys_alone(home: Home) -> None:
    command = [sys.executable, "-m", "serving", "--home", str(home.root), "--endpoint", ENDPOINT]
    command += ["--host", "0.0.0.0", "--port", str(free_port())]  # noqa: S104 what is tested
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for content in (None, '{"keys": []}', "{"):
        if content is not None:
            path = home.endpoint(ENDPOINT) / FILE
            path.write_text(content)
            path.chmod(0o600)
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        assert (done.returncode, "keys-unusable" in done.stderr) == (3, True)
    put_keys(home, declared("shop", CALLER, "predict"))
    with server(home, "--host", "0.0.0.0") as running:  # noqa: S104 what is tested
        eventually(lambda: predicted(running, CALLER).status_code == 200)
        (home.endpoint(ENDPOINT) / FILE).unlink()
        assert predicted(running).status_code == 401


def test_the_command_makes_keys_that_are_shown_once_and_takes_them_back(home: Home) -> None:
    def typed(verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "platform_assets.cli.main", "key", verb, ENDPOINT, *arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "ROADBED_HOME": str(home.root)}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    with server(home) as running:
        eventually(lambda: predicted(running).status_code == 200)
        with ThreadPoolExecutor(2) as both:  # two at once: both keys are there
            made = list(both.map(lambda name: typed("make", name, "--scope", "predict"), ("shop", "till")))
        keys = [one.stdout.splitlines()[-1] for one in made]
        assert [one.returncode for one in made] == [0, 0]
        assert all(key.startswith("rbk_") for key in keys)
        eventually(lambda: predicted(running).status_code == 401)
        eventually(lambda: [predicted(running, key).status_code for key in keys] == [200, 200])
        kept = (home.endpoint(ENDPOINT) / FILE).read_text()
        assert not [key for key in keys if key in kept]
        again = typed("make", "shop")
        assert (again.returncode, "has a key shop already" in again.stderr) == (1, True)
        assert "revoked  shop" in typed("revoke", "shop").stdout
        eventually(lambda: [predicted(running, key).status_code for key in keys] == [401, 200])
        nobody = typed("revoke", "shop")
        assert (nobody.returncode, "has no key shop" in nobody.stderr) == (1, True)
