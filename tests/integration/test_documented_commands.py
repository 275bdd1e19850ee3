"""Each command of README.md and docs/*.md is typed into a shell in a fresh copy of the checkout.

The pages share one installation and go on from each other, as a reader does: README.md brings it up from nothing.

`PAGES_AS_RUN` holds the commands in the order of the page, with what their placeholders stand for and what must be read then;
`ELSEWHERE` those that another place runs. A command of a page that is in neither fails `test_every_command_is_run`.
"""

import dataclasses
import getpass
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import dagster as dg
import httpx
import msgspec
import psutil
import pytest
from aviation.team import DEPARTURE_DELAY, TEAM

from formats.clock import read_clock
from formats.home import VARIABLE, Home
from platform_assets.cli.first_prediction import prediction_id
from platform_assets.code_location import team_definitions
from platform_assets.promotion.live import pointers
from resources.endpoint_runtime import LocalEndpointRuntime
from resources.installation import installation_at
from tests.integration.test_authority_service import SERVICE_COMMANDS
from tests.support.documented import (
    PAGES,
    ROOT,
    commands,
    is_in_order,
    lone_options,
    unknown_programs,
)
from tests.support.processes import eventually, free_port
from tests.support.small_road import ENDPOINT, SmallRoad

CUTOFF = "2013-03-01"
# The longest, a first journey, takes two minutes on two idle cores.
PATIENCE = 1500.0
_FACT = re.compile(r"\{([a-z ]+)\}")
SERVICES = ("code-platform", "code-aviation", "webserver", "daemon", "endpoint-runtime")
REQUEST = next((shown.text for shown in commands((ROOT / "README.md").read_text()) if shown.program == "curl"), "")
RUNS = "{ runsOrError { ... on Runs { results { runId } } } }"

T = TypeVar("T", bound=Callable[..., None])


def on_a_clone(test: T) -> T:
    """Mark a test that drives the clone; the other tests of this module read the pages alone."""
    marked: T = pytest.mark.service(pytest.mark.slow(pytest.mark.timeout(3600)(test)))
    return marked


@dataclass
class Clone:
    """A copy of the checkout as a reader has it after cloning, its environment made."""

    root: Path
    port: int
    said: dict[str, str] = field(default_factory=dict)
    held: ExitStack = field(default_factory=ExitStack)

    @property
    def home(self) -> Home:
        return Home(self.root / ".roadbed")

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        """As in a shell of its own: neither a make nor a pytest around it."""
        foreign = ("MAKE", "MFLAGS", "PYTEST_", "PYTHONPATH")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return {**kept, "ROADBED_PORT": str(self.port), "TORCH": "cpu", **more}


class Step(NamedTuple):
    """A command as its page shows it, what is put for its placeholders (names of facts), and what it must print."""

    text: str
    says: tuple[str, ...] = ()
    fill: Mapping[str, str] = {}
    env: Mapping[str, str] = {}
    status: int = 0
    before: Callable[[Clone], None] | None = None
    # Of a command that stays in the foreground: printed as soon as it serves, with its address as the first group.
    serving: str = ""


def _bundle(number: int, clone: Clone) -> str:
    return pointers(installation_at(clone.home)).releases(ENDPOINT)[number].bundle


def _clock_after(days: int, clone: Clone) -> str:
    now = read_clock(clone.home.clock).instant
    assert now is not None
    return (now + timedelta(days=days)).isoformat()


# A private key lies with its owner; in this test, beside the copy's own files.
KEY: Final = {"ROADBED_KEY": "platform.pem"}

FACTS: dict[str, Callable[[Clone], str]] = {
    "home": lambda _: ".roadbed",
    "whole home": lambda clone: str(clone.home.root),
    "port": lambda clone: str(clone.port),
    "other port": lambda _: str(free_port()),
    "served port": lambda clone: LocalEndpointRuntime(clone.home).url(ENDPOINT).rpartition(":")[2],
    "prediction": lambda clone: prediction_id(clone.said[REQUEST]) or "no prediction",
    "endpoint": lambda _: ENDPOINT,
    "model": lambda _: DEPARTURE_DELAY.path(TEAM.name),
    "table": lambda _: "aviation/weather",
    "reason": lambda _: "'it answers strangely'",
    "live bundle": lambda clone: pointers(installation_at(clone.home)).releases(ENDPOINT)[-1].bundle,
    "first bundle": partial(_bundle, 0),
    "second bundle": partial(_bundle, 1),
    "third bundle": partial(_bundle, 2),
    "tomorrow": partial(_clock_after, 1),
    "present": partial(_clock_after, 0),
    "live decision": lambda clone: pointers(installation_at(clone.home)).releases(ENDPOINT)[-1].approval.decision,
    "policy of prod": lambda _: "platform_assets/promotion/policies/prod.yaml",
    "report file": lambda _: "report.html",
    "this process": lambda _: str(os.getpid()),
    "benchmark": lambda _: "road",
    "login": lambda _: getpass.getuser(),
    "role": lambda _: "platform",
    "address": lambda _: "somebody@example.org",
    "gate": lambda _: "latency_budget",
    "a week": lambda _: "7",
}


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
    assert len({_bundle(number, clone) for number in range(3)}) == 3


def hold_the_ledger(clone: Clone) -> None:
    """Be the process that the command looks for."""
    clone.held.enter_context(clone.home.ledger.open("rb"))


PREDICTION = ("UI       http://127.0.0.1:{port}", "ask      curl -s -X POST", "why      roadbed explain", "verified")
CHAIN = ("release sha256:", "decision sha256:", "auc_floor", "bundle sha256:", "training set  verified", "code")

PAGES_AS_RUN: dict[str, tuple[Step, ...]] = {
    "README.md": (
        Step("make up", (*(f"start    {name}" for name in SERVICES), "made     16/16", *PREDICTION, *CHAIN)),
        Step("make help", ("make up ", "make down ", "make test ")),
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
            before=lambda clone: add_the_guides_team(clone.root),
        ),
        Step("make down", ("the state stays",)),
        Step("make up", ("start    code-rail", *PREDICTION)),
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
        Step("roadbed replay --policy FILE", ("1 promotions: 1 stands",), {"FILE": "policy of prod"}),
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
        Step("roadbed replay --policy FILE", ("1 promotions: 1 stands",), {"FILE": "policy of prod"}),
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
        Step(
            "roadbed rollback ENDPOINT --reason TEXT",
            ("barred   {third bundle}", "live     {second bundle}"),
            {"ENDPOINT": "endpoint", "TEXT": "reason"},
            before=release_two_more,
        ),
        Step(
            "roadbed rollback ENDPOINT --reason TEXT --to DIGEST",
            ("barred   {second bundle}", "live     {first bundle}"),
            {"ENDPOINT": "endpoint", "TEXT": "reason", "DIGEST": "first bundle"},
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
        Step("roadbed ledger verify", ("whole    chain, signatures and anchor hold",)),
        Step(".venv/bin/dagster dev", serving=r"Serving dagster-webserver on (http://\S+)"),
        Step("make down", ("down ",)),
        Step("make up", ("start    webserver", *PREDICTION)),
        Step("ROADBED_FAILPOINT=file.before_rename .venv/bin/roadbed advance --days 1", status=128 + signal.SIGKILL),
    ),
    "docs/performance.md": (Step("make bench NAME=<name>", fill={"<name>": "benchmark"}),),
    "docs/security.md": (Step("roadbed ledger verify", ("whole    chain, signatures and anchor hold",)),),
    "docs/troubleshooting.md": (
        Step("env | grep PANDERA", ("PANDERA_VALIDATION_ENABLED=False",), env={"PANDERA_VALIDATION_ENABLED": "False"}),
        Step("roadbed explain <subject>", ("bundle sha256:",), {"<subject>": "model"}),
        Step("roadbed ledger verify", ("rows ", "whole ")),
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
        Step("ss -ltnp", ("127.0.0.1:{port}", "pid=")),
        Step("roadbed up --port 3001", ("start    webserver", "http://127.0.0.1:{other port}"), {"3001": "other port"}),
        Step("df -h <home>", ("Avail",), {"<home>": "home"}),
        Step("du -sh <home>/*", (".roadbed/lake", ".roadbed/ledger"), {"<home>": "home"}),
    ),
}

# Running these here would run this test again, or judge the work of whoever is typing at the moment; or they make a second
# installation, with servers of its own.
ELSEWHERE = dict.fromkeys(("make lint", "make test"), ".ci/run") | dict.fromkeys(
    SERVICE_COMMANDS, "tests/integration/test_authority_service.py"
)

# A verb that needs arguments, named without them: the step that has them stands for it.
NAMED = (
    "roadbed advance",
    "roadbed approve",
    "roadbed explain",
    "roadbed history",
    "roadbed ledger create",
    "roadbed lift",
    "roadbed reject",
    "roadbed replay",
    "roadbed rollback",
    "roadbed waive",
)


def shown_on(page: str) -> list[str]:
    return [shown.text for shown in commands((ROOT / page).read_text())]


def steps() -> Iterator[Step]:
    return (step for steps_ in PAGES_AS_RUN.values() for step in steps_)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_run(page: str) -> None:
    known = {*(step.text for step in steps()), *ELSEWHERE, *NAMED}
    assert [text for text in shown_on(page) if text not in known] == []


@pytest.mark.parametrize("page", PAGES_AS_RUN)
def test_what_is_run_stands_on_its_page_in_this_order(page: str) -> None:
    assert is_in_order([step.text for step in PAGES_AS_RUN[page]], shown_on(page))


@pytest.mark.parametrize(("command", "file"), ELSEWHERE.items())
def test_what_runs_elsewhere_does(command: str, file: str) -> None:
    assert command in (ROOT / file).read_text().splitlines()
    assert any(command in shown_on(page) for page in PAGES)


@pytest.mark.parametrize("name", NAMED)
def test_a_verb_named_without_arguments_is_run_with_them(name: str) -> None:
    assert any(text.startswith(f"{name} ") for text in [*(step.text for step in steps()), *ELSEWHERE])


@pytest.mark.parametrize("page", PAGES)
def test_no_command_escapes_the_parser(page: str) -> None:
    markdown = (ROOT / page).read_text()
    assert unknown_programs(markdown) == set()
    assert lone_options(markdown) == []


@pytest.mark.parametrize(
    ("markdown", "expected"),
    [
        ("Call `make up` or `roadbed`.", ["make up"]),
        ("| `roadbed down` | `roadbed up --port N` |", ["roadbed down", "roadbed up --port N"]),
        ("Then:\n\n    make up      # begin\n    no command here\n", ["make up"]),
        ("    curl -s \\\n      -d '{}'\n", ["curl -s -d '{}'"]),
        ("```sh\nmake up  # begin\nmake down\n```\n", ["make up", "make down"]),
        ("```console\n$ make up\nmake believe\n```\n", ["make up"]),
        ("```python\nmake = up\n```\n", []),
        ("`ROADBED_FAILPOINT=<name>`, `A=1 make up`", ["ROADBED_FAILPOINT=<name>", "A=1 make up"]),
    ],
)
def test_the_parser(markdown: str, expected: list[str]) -> None:
    assert [shown.text for shown in commands(markdown)] == expected


def test_a_program_that_the_parser_does_not_know_is_found() -> None:
    assert unknown_programs("`awk 1 file` and `deploy/local/lock.sh now`, `raw tables`") == {
        "awk",
        "deploy/local/lock.sh",
    }
    assert [option.text for option in lone_options("`roadbed up`, with `--port N`")] == ["--port N"]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    root = tmp_path_factory.mktemp("clone") / "roadbed"
    ignored = shutil.ignore_patterns(*(line.rstrip("/") for line in (ROOT / ".gitignore").read_text().split()), ".git")
    shutil.copytree(ROOT, root, ignore=ignored)
    lend_environment(root)
    made = Clone(root, free_port())
    try:
        yield made
    finally:
        made.held.close()
        run(Step("make down"), made)
        for process in processes_in(root):
            process.kill()


def lend_environment(root: Path) -> None:
    """An environment of the copy's own: this one's packages, its own code, and the stamp that says it is complete."""
    ours, theirs = Path(sys.prefix), root / ".venv"
    packages = theirs / Path(sysconfig.get_path("purelib")).relative_to(ours)
    installed = Path(dg.__file__).parents[1]
    packages.mkdir(parents=True)
    # Paths in such a file are searched; further such files, as that of the checkout's own installation, are not read.
    (packages / "clone.pth").write_text(f"{root}\n{installed}\n")
    shutil.copy(ours / "pyvenv.cfg", theirs)
    (theirs / "bin").mkdir()
    (theirs / "bin" / "python").symlink_to((ours / "bin" / "python").resolve())
    for name in ("roadbed", "dagster"):
        script = (ours / "bin" / name).read_text().replace(str(ours), str(theirs))
        (theirs / "bin" / name).write_text(script)
        (theirs / "bin" / name).chmod(0o755)
    digest = sha256((root / "requirements.lock").read_bytes() + (root / "pyproject.toml").read_bytes()).hexdigest()
    (theirs / ".roadbed-lock").write_text(f"{digest} torch=cpu at={root}\n")


def add_the_guides_team(root: Path) -> None:
    """Team rail, as the guide has it: its folder, and its pieces of code as one file."""
    example, team = root / "team_projects" / "aviation" / "pyproject.toml", root / "team_projects" / "rail"
    blocks = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "docs" / "first-model.md").read_text(), re.MULTILINE | re.DOTALL
    )
    (team / "rail").mkdir(parents=True)
    (team / "pyproject.toml").write_text(example.read_text().replace("aviation", "rail"))
    (team / "rail" / "__init__.py").touch()
    (team / "rail" / "definitions.py").write_text("\n".join(blocks))


def facts_of(step: Step, clone: Clone) -> dict[str, str]:
    """What the step's placeholders stand for, as it is before the command changes it."""
    names = {*step.fill.values(), *(name for said in step.says for name in _FACT.findall(said))}
    return {name: FACTS[name](clone) for name in names}


def typed(step: Step, facts: Mapping[str, str]) -> str:
    """The command with its placeholders filled in; `roadbed` is short for the path, as the pages say."""
    text = re.sub(r"^roadbed ", ".venv/bin/roadbed ", step.text)
    for placeholder, name in step.fill.items():
        text = filled(text, placeholder, facts[name])
    assert not re.search(r"<\w+>", text), f"{text} has a placeholder that nothing fills"
    return text


def filled(text: str, placeholder: str, value: str) -> str:
    """`text` with `value` for the placeholder, which must be there."""
    text, count = re.subn(rf"(?<!\w){re.escape(placeholder)}(?!\w)", lambda _: value, text)
    assert count, f"{text} has no {placeholder}"
    return text


def run(step: Step, clone: Clone) -> None:
    """Type the command and compare what it says."""
    facts = facts_of(step, clone)
    command, environment = ["bash", "-c", typed(step, facts)], clone.environment(step.env)
    done = subprocess.run(
        command, cwd=clone.root, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    said = clone.said[step.text] = done.stdout + done.stderr
    status = done.returncode if done.returncode >= 0 else 128 - done.returncode
    assert status == step.status, f"{command[-1]} ended with {status}:\n{said}"
    wanted = [_FACT.sub(lambda name: facts[name[1]], text) for text in step.says]
    assert [text for text in wanted if text not in said] == [], f"{command[-1]} said:\n{said}"
    assert "BROKEN" not in said


def serve(step: Step, clone: Clone) -> None:
    """Type a command that stays, ask what it serves for the installation's runs, and press Ctrl-C."""
    log = clone.root.parent / "foreground.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            ["bash", "-c", typed(step, facts_of(step, clone))],
            cwd=clone.root,
            env=clone.environment(step.env),
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    try:
        url = eventually(lambda: re.search(step.serving, log.read_text()), PATIENCE / 3)[1]
        answer = eventually(lambda: _answer(url), PATIENCE / 3)
        assert answer["data"]["runsOrError"]["results"], "the runs of the same state are found"
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(PATIENCE / 3)


def _answer(url: str) -> Any:
    try:
        return httpx.post(f"{url}/graphql", json={"query": RUNS}, timeout=60).json()
    except httpx.TransportError:
        return None


def processes_in(root: Path) -> list[psutil.Process]:
    """Processes that work in `root`."""
    return [process for process in psutil.process_iter() if _folder(process) == str(root)]


def _folder(process: psutil.Process) -> str:
    try:
        return str(process.cwd())
    except psutil.Error:
        return ""


@on_a_clone
@pytest.mark.parametrize("page", PAGES_AS_RUN)
def test_the_commands_of_the_page(page: str, clone: Clone) -> None:
    for step in PAGES_AS_RUN[page]:
        if step.before is not None:
            step.before(clone)
        if step.serving:
            serve(step, clone)
        else:
            run(step, clone)


@on_a_clone
def test_the_readmes_request_is_like_the_one_that_up_prints(clone: Clone) -> None:
    printed = next(line for line in clone.said["make up"].splitlines() if line.startswith("ask "))
    assert body_of(REQUEST).keys() == body_of(printed).keys()


def body_of(request: str) -> dict[str, object]:
    """What a `curl` line sends."""
    words = shlex.split(request)
    return msgspec.json.decode(words[words.index("-d") + 1], type=dict[str, object])


@on_a_clone
def test_down_leaves_nothing_running(clone: Clone) -> None:
    run(Step("make down", ("down ",)), clone)
    assert processes_in(clone.root) == []
