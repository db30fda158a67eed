# Sourced by the servers' entrypoints.

# Passwords that stood in somebody's example; app/settings_checks.py refuses the same.
examples=' changeme icecreamyummy password postgres secret '

refuse() {
    echo "$*" >&2
    exit 1
}

# What stands in the secret's file, or one sentence that names its variable.
secret() {
    value=$(cat "/run/secrets/$2" 2>/dev/null || true)
    [ -n "$value" ] || refuse "$1 is not set: \`sh scripts/secrets.sh\` writes one into .env."
    case "$examples" in
    *" $(echo "$value" | tr '[:upper:]' '[:lower:]') "*)
        refuse "$1 is a password from an example that everybody knows; choose your own, or let \`sh scripts/secrets.sh\` do so."
        ;;
    esac
    printf %s "$value"
}
