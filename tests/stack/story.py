"""The life of a stack: made, started, used, killed, taken down, lost and restored."""

import json
import re
import time
from datetime import UTC, datetime, timedelta

from tests.stack import truth, volume
from tests.stack.compose import CONTAINERS, Stack, expect, until

INIT_LINES = [
    "Timescaledb/Postgresql is ready to connect",
    "Redis is ready to connect",
    "Celery workers created",
    "tmux sessions created",
    "cron job added",
    "Initialization complete",
]
OURS = ("docker", "ps", "-aq", "--filter", "label=com.docker.compose.project=candlehouse")
SESSIONS = {"psql", "redis", "fetch", "web", "celery"}
DAY = datetime.now(UTC).date() - timedelta(days=3)
DAY_START_MS = int(datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC).timestamp() * 1000)


def refuses_to_start_without_secrets(stack: Stack) -> str:
    """Without .env nothing starts, and one sentence names the variable and the remedy"""
    stack.copy()
    done = stack.tried("docker", "compose", "up", "-d")
    expect(done.returncode != 0, "it started")
    told = re.search(r"variable (POSTGRES_PASSWORD|REDIS_PASSWORD|WEB_TOKEN) is missing", done.stdout)
    expect(told and "sh scripts/secrets.sh" in done.stdout, done.stdout)
    expect(stack.tried(*OURS).stdout == "", "something was made")
    return done.stdout.strip().splitlines()[-1]


def makes_secrets_once(stack: Stack) -> str:
    """One line writes random secrets into a file that only its owner reads; a second run changes nothing"""
    stack.run("sh", "scripts/secrets.sh")
    file = stack.folder / ".env"
    first, mode = file.read_text(), file.stat().st_mode & 0o777
    stack.run("sh", "scripts/secrets.sh")
    expect(file.read_text() == first, "the second run changed .env")
    expect(mode == 0o600, f"mode {mode:o}")
    values = list(stack.secrets().values())
    expect(
        len(values) == len(set(values)) == 4 and min(map(len, values)) >= 32, "the secrets are not four long words"
    )
    return ", ".join(stack.secrets())


def builds(stack: Stack) -> str:
    """`docker compose build` makes the image, and `docker compose convert` reads the file"""
    stack.compose("build", limit=900)
    shown = stack.compose("convert")
    leaked = [name for name, value in stack.secrets().items() if value in shown]
    expect(not leaked, f"convert shows {leaked}")
    size = int(stack.run("docker", "image", "inspect", "-f", "{{.Size}}", "candlehouse"))
    base = int(stack.run("docker", "image", "inspect", "-f", "{{.Size}}", "python:3.13-slim-trixie"))
    return f"{(size - base) / 1e6:.0f} MB on a base of {base / 1e6:.0f} MB"


def is_rebuilt_in_seconds(stack: Stack) -> str:
    """A change of code alone rebuilds nothing but the code's own layers"""
    (stack.folder / "web/__init__.py").open("a").write("# changed\n")
    began = time.monotonic()
    said = stack.run("docker", "build", "--progress", "plain", "-t", "candlehouse", ".")
    steps = [line for line in said.splitlines() if re.search(r"\[(packages|browser|clients) .*RUN", line)]
    cached = re.findall(r"^#(\d+) CACHED", said, re.MULTILINE)
    run_again = [line for line in steps if line.split()[0].strip("#") not in cached]
    expect(not run_again, f"installed again: {run_again}")
    return f"{time.monotonic() - began:.1f} s"


def starts(stack: Stack) -> str:
    """The demo starts on an earlier version's volume: init.log tells the six lines, in order, once"""
    began = time.monotonic()
    stack.compose("up", "-d")
    until(90, "init.log's last line", lambda: stack.init_log()[-1:] == INIT_LINES[-1:])
    took = time.monotonic() - began
    expect(stack.init_log() == INIT_LINES, f"init.log says {stack.init_log()}")
    until(300, "every container is healthy", stack.all_well)
    return f"{took:.0f} s"


def has_its_windows(stack: Stack) -> None:
    """Five tmux sessions live: psql connected, redis let in, five panes to fetch"""
    sessions = set(stack.inside("tmux", "list-sessions", "-F", "#{session_name}").split())
    expect(sessions == SESSIONS, f"sessions {sessions}")
    dead = stack.inside("tmux", "list-panes", "-a", "-F", "#{session_name}.#{pane_index} #{pane_dead}")
    expect([line for line in dead.splitlines() if line.endswith(" 1")] == [], dead)
    expect(len(stack.inside("tmux", "list-panes", "-t", "fetch").splitlines()) == 5, "fetch has not five panes")
    until(20, "psql answers", lambda: "(1 row)" in typed(stack, "psql", r"SELECT 1\;"))
    until(20, "redis answers", lambda: "PONG" in typed(stack, "redis", "PING"))


def typed(stack: Stack, session: str, text: str) -> str:
    stack.inside("tmux", "send-keys", "-t", session, text, "Enter")
    time.sleep(1)  # the pane has no event to wait for
    return stack.inside("tmux", "capture-pane", "-p", "-t", session)


def closing_windows_stops_nothing(stack: Stack) -> None:
    """Closing panes and sessions stops nothing, and they come back"""
    before = roles(stack)
    for name in sorted(SESSIONS):
        stack.tried("docker", "exec", "coin-app", "tmux", "kill-session", "-t", name)
    listed = ("docker", "exec", "coin-app", "tmux", "list-sessions", "-F", "#{session_name}")
    until(30, "the sessions are back", lambda: set(stack.tried(*listed).stdout.split()) == SESSIONS)
    expect(roles(stack) == before, f"{before} became {roles(stack)}")


def roles(stack: Stack) -> list[str]:
    """The supervised processes, with their ids."""
    shown = stack.run("docker", "top", "coin-app", "-eo", "pid,args").splitlines()
    return [line for line in shown if "/opt/candlehouse/bin/python -m" in line]


def serves(stack: Stack) -> None:
    """The page, Flower and the probes answer on loopback alone"""
    asked = {("WEB_PORT", "/view/wschart"), ("WEB_PORT", "/health"), ("WEB_PORT", "/ready"), ("CELERY_PORT", "/")}
    until(300, "all answer 200", lambda: {stack.status_of(*one) for one in asked} == {200})
    published = stack.run("docker", "ps", "--format", "{{.Ports}}")
    expect(set(re.findall(r"([\d.:\[\]]+):\d+->", published)) == {"127.0.0.1"}, published)


def runs_as_nobody_special(stack: Stack) -> None:
    """No process is root's, the program's role is no superuser, Redis wants its password and keeps a log"""
    users = {
        line.split()[0] for line in stack.run("docker", "top", "coin-app", "-eo", "user,pid").splitlines()[1:]
    }
    expect("root" not in users and "0" not in users, f"users {users}")
    expect(stack.sql("SELECT rolsuper FROM pg_roles WHERE rolname = 'candlehouse'") == "f\n", "it is a superuser")
    who = stack.sql("SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name LIKE 'candlehouse%'")
    expect(who == "candlehouse\n", f"connected as {who}")
    expect("NOAUTH" in stack.run("docker", "exec", "coin-redis", "redis-cli", "ping"), "Redis lets anyone in")
    expect("yes" in stack.inside("candlehouse", "redis-cli", "config", "get", "appendonly"), "no append-only file")
    expect(
        stack.inside("readlink", "-f", "/coin-for-rich").strip() == "/candlehouse",
        "/coin-for-rich leads elsewhere",
    )


def shows_no_secret(stack: Stack) -> None:
    """No secret is in what Docker shows, in logs, in process lists or in the image"""
    names = stack.run("docker", "ps", "--format", "{{.Names}}").split()
    places = {
        "inspect": stack.run("docker", "inspect", *names),
        "logs": stack.compose("logs"),
        "processes": "".join(stack.run("docker", "top", name, "-eo", "pid,args") for name in names),
        "image": stack.run("docker", "history", "--no-trunc", "candlehouse"),
        "files": "".join(file.read_text() for file in (stack.folder / "logs").rglob("*.log")),
    }
    found = [
        (where, name) for where, text in places.items() for name, word in stack.secrets().items() if word in text
    ]
    expect(not found, f"shown: {found}")
    kept = stack.run(
        "docker", "run", "--rm", "--entrypoint", "find", "candlehouse", "/candlehouse", "-name", ".env"
    )
    expect(kept == "", f"the image holds {kept}")


def tests_itself(stack: Stack) -> str:
    """pytest -m beforepop and -m afterpop pass inside, and leave the stack's data alone"""
    before = stack.sql("SELECT count(*) FROM symbol_exchange")
    said = [
        stack.inside("pytest", "-m", marker, limit=300).strip().splitlines()[-1]
        for marker in ("beforepop", "afterpop")
    ]
    expect(stack.sql("SELECT count(*) FROM symbol_exchange") == before, "the tests changed the data")
    return "; ".join(said)


def old_scripts_run(stack: Stack) -> None:
    r"""`\i /coin-for-rich/scripts/database/once/populate_agg.sql` works in the psql session's own client"""
    stack.inside(
        "candlehouse",
        "psql",
        "-v",
        "ON_ERROR_STOP=1",
        "-f",
        "/coin-for-rich/scripts/database/once/populate_agg.sql",
    )


def fetches_a_day(stack: Stack) -> str:
    """README's command inside the container fetches a day of each exchange, equal to the market's truth"""
    for exchange, pair in truth.MARKETS.items():
        span = ["--start", f"{DAY}T00:00:00", "--end", f"{DAY + timedelta(days=1)}T00:00:00"]
        command = ["python", "-m", "scripts.fetchers.rest", "fetch", "--exchange", exchange, *span]
        stack.inside(*command, "--symbols", "/".join(pair))
    return truth.the_day_is_true(stack, DAY_START_MS)


def raises_its_tier(stack: Stack) -> str:
    """The earlier version's volume becomes hypertables in place, and every table and view answers the same"""
    stack.compose("stop", "coin-app")
    stack.inside_stopped("candlehouse", "db", "refresh")
    expect(volume.tier(stack) == "plain", f"it is {volume.tier(stack)} already")
    before = volume.hashes(stack)
    stack.inside_stopped("candlehouse", "db", "raise-tier", "--yes")
    expect(volume.tier(stack) == "apache", f"it is {volume.tier(stack)}")
    told = volume.same(before, volume.hashes(stack), but={"storage"})
    stack.compose("up", "-d")
    until(300, "all is well", lambda: is_up(stack))
    return f"{told}; {all_is_true(stack)}"


def heals_a_kill(stack: Stack) -> str:
    """`docker kill` of each container in turn heals by itself, and the candles are the market's again"""
    healers = [name for name in stack.run("docker", "ps", "--format", "{{.Names}}").split() if "heal" in name]
    told = [f"{name} {killed(stack, name):.0f} s" for name in [*CONTAINERS, *healers]]
    return f"{', '.join(told)}; {all_is_true(stack)}"


def killed(stack: Stack, name: str) -> float:
    """Seconds until all was well again."""
    stack.run("docker", "kill", name)
    after = f"after {name} was killed"
    took = until(300, f"all is well {after}", lambda: stack.all_well() and stack.state(name) != "exited")
    until(300, f"the page is ready {after}", lambda: stack.status_of("WEB_PORT", "/ready") == 200)
    return took


def is_up(stack: Stack) -> bool:
    """Every container is healthy, and the latest start is complete."""
    return stack.all_well() and stack.init_log()[-1:] == INIT_LINES[-1:]


def complete_starts(stack: Stack) -> int:
    """How often init.log tells of one."""
    return stack.init_log().count(INIT_LINES[-1])


def all_is_true(stack: Stack) -> str:
    """The latest hour of every market, and the day that was fetched."""
    return f"{truth.everything_becomes_true(stack, 60)}; {truth.the_day_is_true(stack, DAY_START_MS)}"


def heals_a_crash(stack: Stack) -> str:
    """A process that dies inside, and the first process itself, come back without anybody's help"""
    kill = ("docker", "exec", "-u", "candlehouse", "coin-app", "pkill", "-9", "-f")
    stack.run(*kill, "uvicorn web.main")
    until(300, "the supervisor brought the page back", lambda: stack.status_of("WEB_PORT", "/health") == 200)
    starts = complete_starts(stack)
    stack.run(*kill, "^python -m scripts.docker.start")
    until(
        300,
        "Docker brought coin-app back",
        lambda: is_up(stack) and complete_starts(stack) > starts,
    )
    return truth.everything_becomes_true(stack, 60)


def stops_in_time(stack: Stack) -> str:
    """SIGTERM stops everything cleanly within 10 s"""
    began = time.monotonic()
    stack.run("docker", "stop", "--time", "20", "coin-app")
    took = time.monotonic() - began
    code = stack.run("docker", "inspect", "-f", "{{.State.ExitCode}}", "coin-app").strip()
    expect(took < 10 and code == "0", f"{took:.1f} s, status {code}")
    stack.run("docker", "start", "coin-app")
    return f"{took:.1f} s"


def comes_back_after_down(stack: Stack) -> str:
    """`docker compose down` and `up` lose nothing, and what was missed meanwhile is healed"""
    until(300, "all is well", lambda: is_up(stack))
    rows, starts = int(stack.sql("SELECT count(*) FROM candles")), complete_starts(stack)
    stack.compose("down")
    stack.compose("up", "-d")
    until(300, "all is well", lambda: is_up(stack) and complete_starts(stack) > starts)
    expect(int(stack.sql("SELECT count(*) FROM candles")) >= rows, "candles were lost")
    return f"{rows} candles; {truth.everything_becomes_true(stack, 60)}"


def restores_a_lost_database(stack: Stack) -> str:
    """A backup of hypertables, restored over a new start after a loss, has every row of every table"""
    stack.inside("candlehouse", "backup", "backups/stack.dump", limit=300)
    stack.compose("stop", "coin-app")
    stack.inside_stopped("candlehouse", "backup", "backups/quiet.dump")
    before = volume.hashes(stack)
    stack.compose("down", "--timeout", "10")
    stack.remove_data()
    stack.compose("up", "-d")
    until(300, "a start from an empty folder takes the best tier", lambda: volume.tier(stack) == "apache")
    stack.compose("stop", "coin-app")
    stack.inside_stopped("candlehouse", "restore", "backups/quiet.dump", "--replace", "--yes")
    told = volume.same(before, volume.hashes(stack))
    stack.compose("up", "-d")
    until(300, "all is well", lambda: is_up(stack))
    size = (stack.folder / "backups/stack.dump").stat().st_size
    return f"{size / 1e6:.1f} MB; {told}; {all_is_true(stack)}"


def logs_are_readable(stack: Stack) -> str:
    """`docker compose logs` is short, in one form, and Docker rotates it"""
    said = stack.compose("logs", "--no-log-prefix", "coin-app")
    expect(len(said.splitlines()) < 200, f"{len(said.splitlines())} lines")
    for name in CONTAINERS:
        options = json.loads(stack.run("docker", "inspect", "-f", "{{json .HostConfig.LogConfig}}", name))
        expect(options["Config"].get("max-size") == "10m", f"{name}: {options}")
    return f"{len(said.splitlines())} lines of coin-app"


PROMISES = (
    refuses_to_start_without_secrets,
    makes_secrets_once,
    builds,
    is_rebuilt_in_seconds,
    volume.is_an_earlier_versions,
    starts,
    has_its_windows,
    closing_windows_stops_nothing,
    serves,
    runs_as_nobody_special,
    tests_itself,
    old_scripts_run,
    fetches_a_day,
    shows_no_secret,
    raises_its_tier,
    heals_a_kill,
    heals_a_crash,
    stops_in_time,
    comes_back_after_down,
    restores_a_lost_database,
    logs_are_readable,
)
