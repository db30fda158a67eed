"""What a person can get wrong: each gets one clear sentence, and nothing half-made is left."""

import socket

from tests.stack.compose import Stack, expect

PSQL = ["--entrypoint", "sh", "timescale/timescaledb:2.29.2-pg17", "/candlehouse/psql.sh"]


def psql_container(stack: Stack, data: list[str], password: str = "a-good-password") -> tuple[int, str]:
    """The status and words of coin-psql's own start on other data."""
    secret = stack.folder / "secret"
    secret.write_text(password)
    mounts = [
        *("-v", f"{stack.folder}/scripts/docker/psql.sh:/candlehouse/psql.sh:ro"),
        *("-v", f"{stack.folder}/scripts/docker/secret.sh:/candlehouse/secret.sh:ro"),
        *("-v", f"{secret}:/run/secrets/postgres_password:ro"),
    ]
    done = stack.tried("docker", "run", "--rm", *data, *mounts, *PSQL, limit=60)
    return done.returncode, done.stdout.strip()


def one_sentence(code: int, said: str, *words: str) -> str:
    expect(code not in (0, 124), f"status {code}")
    expect(len(said.splitlines()) == 1, f"it says {said}")
    expect(all(word in said for word in words), f"it says {said}")
    return said


def full_disk_for_postgres(stack: Stack) -> str:
    """A disk too small for PostgreSQL is told before anything is written on it"""
    code, said = psql_container(stack, ["--tmpfs", "/var/lib/postgresql/data:size=64m"])
    return one_sentence(code, said, "MB free")


def postgres_13_folder(stack: Stack) -> str:
    """A PostgreSQL 13 folder is told apart and not touched"""
    folder = stack.folder / "old-data"
    folder.mkdir(exist_ok=True)
    (folder / "PG_VERSION").write_text("13\n")
    before = [(file.name, file.stat().st_mtime_ns, file.stat().st_uid) for file in [folder, *folder.iterdir()]]
    code, said = psql_container(stack, ["-v", f"{folder}:/var/lib/postgresql/data"])
    after = [(file.name, file.stat().st_mtime_ns, file.stat().st_uid) for file in [folder, *folder.iterdir()]]
    expect(after == before, "the folder was touched")
    return one_sentence(code, said, "PostgreSQL 13", "not touched")


def example_password(stack: Stack) -> str:
    """A password from an example stops the server by name, before any data is made"""
    code, said = psql_container(stack, [], "icecreamyummy")
    return one_sentence(code, said, "POSTGRES_PASSWORD")


def app(stack: Stack, *options: str, command: tuple[str, ...] = ()) -> tuple[int, str]:
    """The status and last line of coin-app's own start in another container."""
    done = stack.tried(
        *("docker", "compose", *stack.profiles, "run", "--rm", "-T", "--no-deps", *options, "coin-app", *command),
        given={"COMPOSE_PROGRESS": "quiet"},
        limit=150,
    )
    return done.returncode, (done.stdout.strip().splitlines() or [""])[-1]


def wrong_password(stack: Stack) -> str:
    """A wrong password for the database is told at once, by name"""
    code, said = app(stack, "-e", "POSTGRES_PASSWORD=not-the-right-one", "-e", "POSTGRES_PASSWORD_FILE=")
    return one_sentence(code, said, "password", "POSTGRES_PASSWORD")


def wrong_redis_password(stack: Stack) -> str:
    """A wrong password for Redis is told at once, by name"""
    code, said = app(stack, "-e", "REDIS_PASSWORD=not-the-right-one", "-e", "REDIS_PASSWORD_FILE=")
    return one_sentence(code, said, "Redis", "REDIS_PASSWORD")


def unreachable_database(stack: Stack) -> str:
    """A database that is not there is told after half a minute, by its address"""
    code, said = app(stack, "-e", "DATABASE_URL=postgresql://me:word@coin-redis:1/candles")
    return one_sentence(code, said, "coin-redis:1", "cannot be reached")


def full_disk_for_logs(stack: Stack) -> str:
    """A full disk under logs is told, by the file"""
    code, said = app(
        stack, *("--user", "root", "--entrypoint", "sh", "-v", "/candlehouse/logs"), command=("-c", FULL_LOGS)
    )
    return one_sentence(code, said, "init.log", "No space left")


FULL_LOGS = (
    "cat /dev/zero 2>/dev/null >/dev/shm/full; chmod 777 /dev/shm; export LOG_DIR=/dev/shm;"
    " exec /candlehouse/scripts/docker/entrypoint.sh python -m scripts.docker.start"
)


def port_in_use(stack: Stack) -> str:
    """A port in use is told by its number, and the running stack goes on"""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = stack.tried("docker", "run", "--rm", "-p", f"127.0.0.1:{port}:8000", "candlehouse", "true")
    expect(done.returncode != 0 and str(port) in done.stdout, done.stdout)
    expect(stack.status_of("WEB_PORT", "/health") == 200, "the stack was disturbed")
    return next(line for line in done.stdout.splitlines() if str(port) in line)[-120:]


def public_without_a_token(stack: Stack) -> str:
    """Opened to others without a token, it does not start"""
    code, said = app(stack, "-e", "BIND_ADDRESS=0.0.0.0", "-e", "WEB_TOKEN_FILE=")
    return one_sentence(code, said, "WEB_TOKEN")


def real_candles_beside_simulated_ones(stack: Stack) -> str:
    """The demo's database is not given real candles"""
    code, said = app(stack, "-e", "SIMULATOR_HOST=127.0.0.1")
    return one_sentence(code, said, "MARKET")


PROMISES = (
    full_disk_for_postgres,
    postgres_13_folder,
    example_password,
    wrong_password,
    wrong_redis_password,
    unreachable_database,
    full_disk_for_logs,
    port_in_use,
    public_without_a_token,
    real_candles_beside_simulated_ones,
)
