# Runs once, when the data folder is made: the program's own role, which owns its database and is no superuser.
# The password goes by the environment, so that no process list and no log shows it.
(
    role_password=$(cat /run/secrets/postgres_password)
    export role_password
    psql -v ON_ERROR_STOP=1 --no-psqlrc --quiet --username "${POSTGRES_USER:-postgres}" --dbname "${POSTGRES_DB:-postgres}" <<'SQL'
\getenv password role_password
SET log_min_error_statement = panic;
CREATE ROLE candlehouse LOGIN PASSWORD :'password';
SELECT format('ALTER DATABASE %I OWNER TO candlehouse', current_database()) \gexec
SQL
)
