"""The commands of README.md and docs/*.md in their order, what their placeholders stand for, and what must be read then.

The pages share one installation and go on from each other, as a reader does: README.md brings it up from nothing.
"""

import dataclasses
import re
import signal
from typing import Final

import pytest
from aviation.team import DEPARTURE_DELAY, TEAM

from formats.home import VARIABLE
from platform_assets.cli.site import Site
from platform_assets.cli.status import read_status
from platform_assets.code_location import team_definitions
from tests.support.clone import Clone
from tests.support.documented import ROOT
from tests.support.small_road import SmallRoad
from tests.support.steps import REQUEST, Step, released_bundle

CUTOFF = "2013-03-01"
SERVICES = ("code-platform", "code-aviation", "code-vision", "webserver", "daemon", "endpoint-runtime")

# A private key lies with its owner; in this test, beside the copy's own files.
KEY: Final = {"ROADBED_KEY": "platform.pem"}


def release_two_more(clone: Clone) -> None:
    """Two more bundles that went live, which differ in the seed of their training."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(clone.home.root))
        for seed in (1, 2):
            trainer = dataclasses.replace(DEPARTURE_DELAY.trainer, seed=seed)
            model = dataclasses.replace(DEPARTURE_DELAY, trainer=trainer)
            road = SmallRoad(clone.home.root, team_definitions(dataclasses.replace(TEAM, models=(model,))))
            assert road.train(CUTOFF).success
            assert road.rehearse().success
            assert road.promote().success
            road.close()
    assert len({released_bundle(number, clone) for number in range(3)}) == 3


def hold_the_ledger(clone: Clone) -> None:
    """Be the process that the command looks for."""
    clone.held.enter_context(clone.home.ledger.open("rb"))


def add_the_guides_team(clone: Clone) -> None:
    """Team rail, as the guide has it: its folder, and its pieces of code as one file."""
    teams = clone.root / "team_projects"
    example, team = teams / "aviation" / "pyproject.toml", teams / "rail"
    guide = (ROOT / "docs" / "first-model.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```$", guide, re.MULTILINE | re.DOTALL)
    (team / "rail").mkdir(parents=True)
    (team / "pyproject.toml").write_text(example.read_text().replace("aviation", "rail"))
    (team / "rail" / "__init__.py").touch()
    (team / "rail" / "definitions.py").write_text("\n".join(blocks))


def nothing_has_failed(clone: Clone) -> None:
    """No sensor has asked for what cannot be: the road to a first model is green from the first look at the UI."""
    assert read_status(Site(clone.root, clone.home, clone.port)).failed_runs == []


PREDICTION = ("UI       http://127.0.0.1:{port}", "ask      curl -s -X POST", "why      roadbed explain", "verified")
CHAIN = ("release sha256:", "decision sha256:", "auc_floor", "bundle sha256:", "training set  verified", "code")

PAGES_AS_RUN: dict[str, tuple[Step, ...]] = {
    "README.md": (
        Step("make up", (*(f"start    {name}" for name in SERVICES), "made     18/18", *PREDICTION, *CHAIN)),
        Step("make help", ("make up ", "make down ", "make test "), before=nothing_has_failed),
        Step("make down", (*(f"stopped  {name}" for name in SERVICES), "the state stays")),
        Step("make up", PREDICTION),
        Step(REQUEST, ('"prediction":', '"probability":0.', '"model":"{model}"'), {"8801": "served port"}),
        Step(
            ".venv/bin/roadbed explain <prediction>",
            ("prediction {prediction}  verified", *CHAIN, "{live bundle}"),
            {"<prediction>": "prediction"},
        ),
        Step(".venv/bin/roadbed advance --days 1", ("the clock stands at 2013-05-02T04:00:00+00:00",)),
    ),
    "docs/first-model.md": (
        Step(
            ".venv/bin/python -m platform_assets.cli.workspace --write",
            ("workspace.yaml: written",),
            before=add_the_guides_team,
        ),
        Step("roadbed contracts publish", ("current  aviation", "written  rail/contracts/timetable@1.json")),
        Step("make up", ("start    code-rail", "start    webserver", *PREDICTION)),
    ),
    "docs/auditing.md": (
        Step("roadbed ledger verify", ("whole    chain, signatures and anchor hold",)),
        Step("roadbed history ENDPOINT", ("release 1: live", "verified"), {"ENDPOINT": "endpoint"}),
        Step(
            "roadbed history ENDPOINT --at TIME",
            ("live     release 1: {live bundle}", "verified"),
            {"ENDPOINT": "endpoint", "TIME": "present"},
        ),
        Step("roadbed replay DECISION", ("same     the verdict",), {"DECISION": "live decision"}),
        # How many depends on whether the other team's model is in production by now; of one endpoint it does not.
        Step("roadbed replay --policy FILE", (" stands",), {"FILE": "policy of prod"}),
        Step(
            "roadbed report ENDPOINT --output FILE",
            ("written  report.html",),
            {"ENDPOINT": "endpoint", "FILE": "report file"},
        ),
        Step("roadbed explain SUBJECT", ("prediction {prediction}  verified", *CHAIN), {"SUBJECT": "prediction"}),
    ),
    "docs/operating.md": (
        Step("make up", ("running  everything was started before", *PREDICTION)),
        Step("make down", ("stopped  code-rail", "the state stays in {whole home}")),
        Step("make status", ("Roadbed in", "not running", "clock", "replay")),
        Step("roadbed up", ("start    webserver", *PREDICTION)),
        Step("roadbed up --services-only", ("running  everything was started before", "up       the UI is at")),
        Step(
            "roadbed up --port N",
            ("start    webserver", "UI       http://127.0.0.1:{other port}"),
            {"N": "other port"},
        ),
        Step("roadbed down", (*(f"stopped  {name}" for name in SERVICES), "the state stays")),
        Step("roadbed status", ("code-platform", "not running", "replay")),
        Step("roadbed status --json", ('"processes": [', '"endpoints": {', '"failed_runs": [', "{endpoint}")),
        Step("roadbed advance --days 1", ("the clock stands at {tomorrow}",)),
        Step("roadbed advance --to 2013-05-08", ("the clock stands at 2013-05-08T00:00:00+00:00",)),
        Step("roadbed explain SUBJECT", ("prediction {prediction}  verified", *CHAIN), {"SUBJECT": "prediction"}),
        Step("roadbed explain SUBJECT", (*CHAIN, "age of aviation/online_store"), {"SUBJECT": "endpoint"}),
        Step("roadbed explain SUBJECT", CHAIN, {"SUBJECT": "model"}),
        Step("roadbed explain SUBJECT", CHAIN, {"SUBJECT": "live bundle"}),
        Step("roadbed explain SUBJECT", ("{table}",), {"SUBJECT": "table"}),
        Step("roadbed explain SUBJECT --json", ('[{"what":', '"verified":true'), {"SUBJECT": "endpoint"}),
        Step(
            "roadbed explain SUBJECT --page FILE",
            ("written  report.html",),
            {"SUBJECT": "prediction", "FILE": "report file"},
        ),
        Step("roadbed sql STATEMENT", ("departure_delay/training_set",), {"STATEMENT": "statement"}),
        Step("roadbed sql STATEMENT --form csv", ("view,version", "weather,"), {"STATEMENT": "statement"}),
        Step("roadbed features TEXT", ("wind_gust", "reaches   {endpoint}"), {"TEXT": "feature"}),
        Step("roadbed features --entity NAME", ("aviation/carrier_record@1",), {"NAME": "entity"}),
        Step("roadbed features --owner NAME", ("rail/line_record@1",), {"NAME": "owner"}),
        Step("roadbed features --classification NAME", ("none     no feature",), {"NAME": "classification"}),
        Step("roadbed features --unused", ("used by   nobody",)),
        Step("roadbed features --json", ('"name": "wind_gust"', '"endpoints": [')),
        Step("roadbed history ENDPOINT", ("release 1: live", "verified"), {"ENDPOINT": "endpoint"}),
        Step(
            "roadbed history ENDPOINT --at TIME",
            ("live     release 1: {live bundle}", "verified"),
            {"ENDPOINT": "endpoint", "TIME": "present"},
        ),
        Step("roadbed history ENDPOINT --json", ('"state":"live"', '"whole":true'), {"ENDPOINT": "endpoint"}),
        Step("roadbed diff A B", ("data", "gates", "equal"), {"A": "endpoint", "B": "live bundle"}),
        Step(
            "roadbed diff A B --json", ('"sections":{', '"training set digest"'), {"A": "endpoint", "B": "live bundle"}
        ),
        Step("roadbed replay DECISION", ("same     the verdict",), {"DECISION": "live decision"}),
        # How many depends on whether the other team's model is in production by now; of one endpoint it does not.
        Step("roadbed replay --policy FILE", (" stands",), {"FILE": "policy of prod"}),
        Step(
            "roadbed replay --policy FILE --endpoint ENDPOINT",
            ("1 promotions: 1 stands",),
            {"FILE": "policy of prod", "ENDPOINT": "endpoint"},
        ),
        Step(
            "roadbed report ENDPOINT --output FILE",
            ("written  report.html",),
            {"ENDPOINT": "endpoint", "FILE": "report file"},
        ),
        Step("roadbed contracts diff", ("current ",)),
        Step("roadbed contracts diff --json", ('"team": "aviation"', '"differences": []')),
        Step("roadbed contracts publish", ("current  aviation",)),
        Step("roadbed attest DIGEST", ("attested {live bundle}",), {"DIGEST": "live bundle"}),
        Step("roadbed attest --signed-by KEYID --apply", ("done     0 bundles, 0 left",), {"KEYID": "no key"}),
        Step(
            "roadbed export SUBJECT FILE",
            ("written  bundle.tar",),
            {"SUBJECT": "live bundle", "FILE": "bundle file"},
        ),
        Step("roadbed import FILE", ("verified {live bundle}", "stored   as {model}/model"), {"FILE": "bundle file"}),
        Step(
            "roadbed rollback ENDPOINT --reason TEXT",
            ("barred   {third bundle}", "live     {second bundle}"),
            {"ENDPOINT": "endpoint", "TEXT": "reason"},
            before=release_two_more,
        ),
        Step(
            "roadbed rollback ENDPOINT --reason TEXT --to RELEASE",
            ("barred   {second bundle}", "live     {first bundle}"),
            {"ENDPOINT": "endpoint", "TEXT": "reason", "RELEASE": "first bundle"},
        ),
        Step(
            "roadbed key make ENDPOINT NAME --scope predict --per-second N",
            ("made     shop for predict at {endpoint}", "rbk_"),
            {"ENDPOINT": "endpoint", "NAME": "caller", "N": "a week"},
        ),
        Step(
            "roadbed key revoke ENDPOINT NAME",
            ("revoked  shop at {endpoint}",),
            {"ENDPOINT": "endpoint", "NAME": "caller"},
        ),
        Step(
            "roadbed enroll NAME --role ROLE --email ADDRESS",
            ("made     platform.pem", "enrolled {login} as platform"),
            {"NAME": "login", "ROLE": "role", "ADDRESS": "address"},
            KEY,
        ),
        Step(
            "roadbed approve ENDPOINT --reason TEXT",
            ("approve  {third bundle} at {endpoint}, by {login} (platform)",),
            {"ENDPOINT": "endpoint", "TEXT": "reason"},
            KEY,
        ),
        Step(
            "roadbed reject ENDPOINT --reason TEXT",
            ("reject   {third bundle} at {endpoint}, by {login} (platform)",),
            {"ENDPOINT": "endpoint", "TEXT": "reason"},
            KEY,
        ),
        Step(
            "roadbed waive ENDPOINT --gate NAME --days N --reason TEXT",
            ("waive    {third bundle} of latency_budget at {endpoint}",),
            {"ENDPOINT": "endpoint", "NAME": "gate", "N": "a week", "TEXT": "reason"},
            KEY,
        ),
        Step(
            "roadbed lift DIGEST --reason TEXT",
            ("lifted   1 bars on {third bundle}",),
            {"DIGEST": "third bundle", "TEXT": "reason"},
        ),
        Step(
            "roadbed retention", ("of {endpoint} is live", "its answers can be explained", "to go    0 pieces, 0.0 MB")
        ),
        Step("roadbed retention --apply", ("removed  0 pieces, 0.0 MB",)),
        Step("roadbed retention --json", ('"pieces":[', '"kind":"bundle"')),
        Step("roadbed ledger verify", ("whole    chain, signatures and anchor hold",)),
        Step(".venv/bin/dagster dev", serving=r"Serving dagster-webserver on (http://\S+)"),
        Step(
            ".venv/bin/dagster definitions validate -w workspace.yaml",
            tuple(
                f"Validation successful for code location {name}" for name in ("platform", "aviation", "rail", "vision")
            ),
        ),
        Step("cd team_projects/aviation && ../../.venv/bin/dg check defs", ("All definitions loaded successfully.",)),
        Step(
            "cd team_projects/aviation && DAGSTER_HOME=$PWD/../../.roadbed/dagster "
            "../../.venv/bin/dg launch --assets aviation/airlines",
            ("RUN_SUCCESS",),
        ),
        Step("make down", ("down ",)),
        Step("make up", ("start    webserver", *PREDICTION)),
        Step("ROADBED_FAILPOINT=file.before_rename .venv/bin/roadbed advance --days 1", status=128 + signal.SIGKILL),
    ),
    "docs/contracts.md": (
        Step("roadbed contracts diff", ("current ",)),
        Step("roadbed contracts diff --json", ('"team": "rail"',)),
        Step("roadbed contracts publish", ("current  rail",)),
        Step("roadbed contracts publish TEAM/NAME", ("current  aviation",), {"TEAM/NAME": "table"}),
    ),
    "docs/views.md": (
        Step("roadbed features", ("aviation/origin_weather@1", "rail/line_record@1")),
        Step("roadbed features TEXT", ("wind_gust", "reaches   {endpoint}"), {"TEXT": "feature"}),
        Step("roadbed features --unused", ("used by   nobody",)),
        Step("roadbed features --json", ('"name": "wind_gust"', '"endpoints": [')),
    ),
    "docs/erasure.md": (Step("roadbed erase plane N14228", ("table    aviation/outcomes: ", "lost     to read ")),),
    "docs/performance.md": (Step("make bench NAME=<name>", fill={"<name>": "benchmark"}),),
    "docs/security.md": (
        Step("roadbed ledger verify", ("whole    chain, signatures and anchor hold",)),
        Step(
            "roadbed key make ENDPOINT NAME --scope predict --per-second N",
            ("made     shop for predict at {endpoint}", "rbk_"),
            {"ENDPOINT": "endpoint", "NAME": "caller", "N": "a week"},
        ),
        Step(
            "roadbed key revoke ENDPOINT NAME",
            ("revoked  shop at {endpoint}",),
            {"ENDPOINT": "endpoint", "NAME": "caller"},
        ),
    ),
    "docs/storage.md": (Step("roadbed sql 'SELECT * FROM roadbed.tables'", ("carrier_record",)),),
    "docs/troubleshooting.md": (
        Step("roadbed contracts diff", ("current ",)),
        Step("roadbed contracts publish TEAM/NAME", ("current  aviation",), {"TEAM/NAME": "table"}),
        Step("env | grep PANDERA", ("PANDERA_VALIDATION_ENABLED=False",), env={"PANDERA_VALIDATION_ENABLED": "False"}),
        Step("roadbed explain <subject>", ("bundle sha256:",), {"<subject>": "model"}),
        Step("roadbed ledger verify", ("rows ", "whole ")),
        Step("roadbed attest <digest>", ("attested {first bundle}",), {"<digest>": "first bundle"}),
        Step("roadbed explain <team>/<table>", ("{table}", "2013-01-01"), {"<team>/<table>": "table"}),
        Step("roadbed status", ("running", "clock", "replay")),
        Step("roadbed explain <endpoint>", ("state     live",), {"<endpoint>": "endpoint"}),
        Step("fuser <home>/ledger/ledger.sqlite", ("{this process}",), {"<home>": "home"}, before=hold_the_ledger),
        Step("ls -l <home>/authority", ("-rw-------", "key.pem", "key.pub"), {"<home>": "home"}),
        Step("chmod 600 <home>/authority/key.pem", fill={"<home>": "home"}),
        Step("roadbed explain <digest>", ("bundle {first bundle}", "state"), {"<digest>": "first bundle"}),
        Step(
            'roadbed lift <digest> --reason "..."',
            ("lifted   1 bars on {second bundle}",),
            {"<digest>": "second bundle"},
        ),
        Step("roadbed up", PREDICTION),
        Step("roadbed sql 'SELECT * FROM roadbed.tables'", ("carrier_record",)),
        Step("ss -ltnp", ("127.0.0.1:{port}", "pid=")),
        Step("roadbed up --port 3001", ("start    webserver", "http://127.0.0.1:{other port}"), {"3001": "other port"}),
        Step("df -h <home>", ("Avail",), {"<home>": "home"}),
        Step("du -sh <home>/*", (".roadbed/lake", ".roadbed/ledger"), {"<home>": "home"}),
        Step("roadbed retention", ("to go    0 pieces",)),
        Step("roadbed retention --apply", ("removed  0 pieces",)),
    ),
}
