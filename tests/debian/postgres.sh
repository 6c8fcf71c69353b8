# A PostgreSQL of our own for the receiver, outside the roots. Sourced by tests/packages.
# shellcheck shell=bash disable=SC2154 # the caller's variables

postgres=
postgres_user=
postgres_dir=
policy=
SITE=5f0c0000-0000-4000-8000-000000000002
SITE_SQL="
    INSERT INTO organizations (id, name, slug) VALUES ('5f0c0000-0000-4000-8000-000000000001', 'Packages', 'packages');
    INSERT INTO sites (id, organization_id, name) VALUES ('$SITE', '5f0c0000-0000-4000-8000-000000000001', 'Kitchen');
    INSERT INTO areas (id, site_id, name) VALUES ('5f0c0000-0000-4000-8000-000000000003', '$SITE', 'Kitchen');"

find_postgres() {
    local found
    if [ -n "${PG_BIN:-}" ] && [ -x "$PG_BIN/postgres" ]; then return; fi
    found=$(printf '%s\n' /usr/lib/postgresql/*/bin "$target_dir/tools/pg" | sort -V | while read -r folder; do
        if [ -x "$folder/postgres" ]; then echo "$folder"; fi
    done | tail -n 1)
    if [ -z "$found" ]; then return 1; fi
    PG_BIN=$found
}

get_postgres() {
    if find_postgres; then return; fi
    say "getting postgresql"
    # Debian would start a service of it.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        policy=/usr/sbin/policy-rc.d
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod 755 /usr/sbin/policy-rc.d
    fi
    { update_lists apt-get -q && install_beside postgresql; } || true
    forget_policy
    find_postgres || cannot "missing: postgresql; apt-get could not install it"
}

forget_policy() {
    if [ -n "$policy" ]; then rm -f "$policy"; fi
    policy=
}

as_postgres() { setpriv --reuid "$postgres_user" --regid "$(id -g "$postgres_user")" --clear-groups "$@"; }

# Listens on a socket alone, in a folder that roots are given as /run/pg: no port to be in the way of anything. Whoever
# reaches it is believed, so that nobody outside the roots does.
start_postgres() {
    get_postgres
    # It refuses to run as root.
    if id postgres >/dev/null 2>&1; then postgres_user=postgres; else postgres_user=nobody; fi
    postgres_dir=$(mktemp -d "${TMPDIR:-/tmp}/frostguard-postgres.XXXXXX")
    mkdir "$postgres_dir/socket"
    chown -R "$postgres_user" "$postgres_dir"
    chmod 711 "$postgres_dir/socket"
    (cd / && as_postgres "$PG_BIN/initdb" --no-sync --auth=trust --username=postgres --encoding=UTF8 --locale=C -D "$postgres_dir/data") >/dev/null
    (cd / && exec setpriv --reuid "$postgres_user" --regid "$(id -g "$postgres_user")" --clear-groups \
        "$PG_BIN/postgres" -D "$postgres_dir/data" -k "$postgres_dir/socket" -h '' -c fsync=off) >"$scratch/postgres.log" 2>&1 &
    postgres=$!
    for _ in $(seq 1200); do
        if query postgres 'SELECT 1' >/dev/null 2>&1; then return; fi
        kill -0 "$postgres" 2>/dev/null || { tail -n 20 "$scratch/postgres.log"; fail "PostgreSQL ended"; }
        sleep 0.1
    done
    fail "PostgreSQL did not start in 120 s"
}
stop_postgres() {
    if [ -z "$postgres" ]; then return; fi
    kill -QUIT "$postgres" 2>/dev/null || true
    wait "$postgres" 2>/dev/null || true
    postgres=
    rm -rf --one-file-system "$postgres_dir"
}
query() { # database sql
    "$PG_BIN/psql" -X -q -A -t -v ON_ERROR_STOP=1 -h "$postgres_dir/socket" -U postgres -d "$1" -c "$2"
}
# As the receiver in a root finds it.
database_url() { echo "postgres://postgres@%2Frun%2Fpg/$1"; }
bind_postgres() { # for a chroot
    mkdir -p "$here/run/pg"
    mount --bind "$postgres_dir/socket" "$here/run/pg"
}
unbind_postgres() { if mountpoint -q "$here/run/pg"; then umount "$here/run/pg"; fi; }
