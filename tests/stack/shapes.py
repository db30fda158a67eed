"""The stack's other shapes: opened to others, a service for each role, monitored, on a database of one's own."""

import base64
import ipaddress

from tests.stack import truth, volume
from tests.stack.compose import Stack, expect, until
from tests.stack.story import INIT_LINES

PLAIN = "coin-plain"


def asks_others_for_the_token(stack: Stack) -> None:
    """Opened to others, the page, the metrics and Flower want the token, whoever asks"""
    # Its gateway is the first address: an engine tells it only once it was restarted.
    subnet = stack.run("docker", "network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Subnet}}").strip()
    host = str(ipaddress.ip_network(subnet)[1])

    def status(port: str, path: str, headers: dict[str, str] | None = None) -> int:
        return stack.status_of(port, path, headers, host=host)

    stack.compose("up", "-d", given={"BIND_ADDRESS": host})
    try:
        until(300, "the page answers", lambda: status("WEB_PORT", "/health") == 200)
        token = stack.secrets()["WEB_TOKEN"]
        basic = base64.b64encode(f"candlehouse:{token}".encode()).decode()
        until(300, "Flower answers", lambda: status("CELERY_PORT", "/") == 401)
        expect(status("WEB_PORT", "/api/symbol-exchange") == 401, "the API lets anyone in")
        expect(status("WEB_PORT", "/metrics") == 401, "the metrics let anyone in")
        bearer = {"Authorization": f"Bearer {token}"}
        expect(status("WEB_PORT", "/api/symbol-exchange", bearer) == 200, "the token is refused")
        expect(status("WEB_PORT", "/metrics", bearer) == 200, "the token is refused at /metrics")
        expect(status("CELERY_PORT", "/", {"Authorization": f"Basic {basic}"}) == 200, "Flower refuses it")
        shown = stack.run("docker", "top", "coin-app", "-eo", "pid,args")
        expect(token not in shown, "the token is in the process list")
    finally:
        stack.compose("up", "-d")
        until(300, "all is well", stack.all_well)


def scales_out(stack: Stack) -> str:
    """Profile scale runs each role as a service of its own, and the candles are the same"""
    stack.profiles = ["--profile", "demo", "--profile", "scale"]
    stack.compose(
        "up",
        "-d",
        "--force-recreate",
        "coin-app",
        "coin-stream",
        "coin-update",
        "coin-worker",
        "coin-beat",
        "coin-web",
    )
    try:
        until(
            300,
            "initialized",
            lambda: stack.init_log()[-1:] == INIT_LINES[-1:] and stack.state("coin-app") == "healthy",
        )
        roles = stack.run("docker", "top", "coin-app", "-eo", "pid,args")
        expect("scripts.fetchers.ws" not in roles and " worker " not in roles, "coin-app runs them still")
        names = stack.run("docker", "ps", "--format", "{{.Names}}")
        for service in ("stream-1", "update-1", "worker-1", "worker-2", "beat-1", "web-1", "web-2"):
            expect(f"candlehouse-coin-{service}" in names, f"{service} does not run")
        until(300, "ready", lambda: stack.status_of("WEB_PORT", "/ready") == 200)
        return truth.everything_becomes_true(stack, 30)
    finally:
        stack.compose("rm", "-sf", "coin-stream", "coin-update", "coin-worker", "coin-beat", "coin-web")
        stack.profiles = ["--profile", "demo"]


def is_monitored(stack: Stack) -> str:
    """Profile monitoring: Prometheus scrapes the page, and Grafana's part is valid"""
    stack.profiles = ["--profile", "demo", "--profile", "monitoring"]
    try:
        stack.compose("config", "--quiet")
        stack.compose("up", "-d", "--no-deps", "prometheus")
        query = "/api/v1/query?query=up%7Bjob%3D%22candlehouse%22%7D%20%3D%3D%201"
        until(90, "Prometheus sees it up", lambda: b'"1"]' in stack.body_of("PROMETHEUS_PORT", query))
        return (
            stack.run(
                "docker",
                "exec",
                "candlehouse-prometheus-1",
                "promtool",
                "check",
                "config",
                "/etc/prometheus/prometheus.yml",
            )
            .strip()
            .splitlines()[-1]
        )
    finally:
        stack.compose("rm", "-sf", "prometheus")
        stack.profiles = ["--profile", "demo"]


def runs_on_a_plain_postgres(stack: Stack) -> str:
    """DATABASE_URL: a PostgreSQL of one's own, without TimescaleDB, takes the same schema"""
    network = ["--network", "candlehouse_default", "--name", PLAIN]
    command = ["postgres", "-c", "shared_preload_libraries="]
    image = "timescale/timescaledb:2.29.2-pg17"
    stack.run("docker", "run", "-d", *network, "-e", "POSTGRES_PASSWORD=plain-word", image, *command)
    try:
        ready = ("docker", "exec", PLAIN, "pg_isready", "-q", "-h", "127.0.0.1")
        until(300, "it answers", lambda: stack.tried(*ready).returncode == 0)
        stack.run("docker", "exec", PLAIN, "createdb", "-U", "postgres", "-T", "template0", "mine")
        url = f"DATABASE_URL=postgresql://postgres:plain-word@{PLAIN}:5432/mine"
        said = stack.compose("run", "--rm", "--no-deps", "-e", url, "coin-app", "candlehouse", "db", "upgrade")
        asked = ("psql", "-U", "postgres", "-d", "mine", "-XqAtc", volume.RELATIONS)
        theirs = stack.run("docker", "exec", PLAIN, *asked)
        expect(theirs == stack.sql(volume.RELATIONS), "the relations differ")
        expect("timescaledb in shared_preload_libraries" in said, f"it says {said}")
        return said.strip().splitlines()[-1]
    finally:
        stack.tried("docker", "rm", "-fv", PLAIN)


PROMISES = (asks_others_for_the_token, scales_out, is_monitored, runs_on_a_plain_postgres)
