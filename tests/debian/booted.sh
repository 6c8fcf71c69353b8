# Both services under a systemd of their own. Sourced by tests/packages.
# shellcheck shell=bash disable=SC2154 # the caller's variables

BOOT_S_MAX=1200
# Runs as a service of the booted root; what it prints is judged outside.
CHECK='#!/bin/sh
show() { systemctl show --property="$1" --value frostguard-hub; }
wait_for() { # what it is called, command...
    what=$1; shift
    for _ in $(seq 600); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.5
    done
    echo "WAITED IN VAIN for $what"
    systemctl status --no-pager --full frostguard-hub frostguard-receiver
}
runs() { [ "$(show ActiveState)" = active ] && frostguard-hub status; }
restarts() { [ "$(show NRestarts)" -gt "$1" ]; }
readings() { frostguard-hub sql "SELECT count(*) FROM sensor_readings" | tr -dc 0-9; }
more_than() { [ "$(readings)" -gt "$1" ]; }
by_watchdog() { journalctl --no-pager --output=cat --unit frostguard-hub | grep -c "Watchdog timeout"; }
epoch() { frostguard-hub status --json | tr "," "\n" | grep "\"epoch\""; }

wait_for "the start of the hub" runs
echo "started $(show ActiveState) as $(show User), watchdog $(show WatchdogUSec)"
frostguard-hub status
echo "no credentials: $(ls /run/credentials/frostguard-hub.service | wc -l)"
echo secret | install -m 600 /dev/stdin /etc/frostguard/credentials/mqtt
systemctl restart frostguard-hub
wait_for "the hub" runs
echo "credentials $(ls /run/credentials/frostguard-hub.service)"
echo "sandbox $(grep -E "^(NoNewPrivs|Seccomp|CapBnd):" "/proc/$(show MainPID)/status" | tr -s "\t\n" "  ")"
frostguard-hub units add Walk-in --type walk_in_cooler
frostguard-hub devices add 28-0000071d5a3c --source onewire --port onewire --unit Walk-in
wait_for "readings" more_than 0
echo "hears $([ "$(readings)" -gt 0 ] && echo it)"

echo "receiver without an address: $(systemctl show --property=ActiveState --property=ConditionResult --value frostguard-receiver | tr "\n" " ")"
install -m 600 /dev/stdin /etc/frostguard/credentials-receiver/database_url </database_url
frostguard-receiver migrate
frostguard-receiver hub add --site SITE_ID --name "Kitchen hub" --threshold-scale tenths --json >/hub.json
systemctl start frostguard-receiver
echo "receiver $(systemctl show --property=ActiveState --property=User --value frostguard-receiver | tr "\n" " ")"
sed -n "s/.*\"code\":\"\([^\"]*\)\".*/\1/p" /hub.json |
    frostguard-hub enroll http://127.0.0.1:8443 --create-units --code-file - && echo "enrolled"
has_sent() { frostguard-hub status --json | tr -d " \n" | grep -q "\"unsent_readings\":0"; }
was=$(readings)
wait_for "new readings" more_than "$((was + 5))"
wait_for "the upload" has_sent
frostguard-hub doctor | tail -n 40
before=$(show NRestarts)
kill -KILL "$(show MainPID)"
wait_for "the next start" restarts "$before"
wait_for "the hub" runs
echo "killed: $(show ActiveState) again"

echo "a hub that hangs"
before=$(show NRestarts)
kill -STOP "$(show MainPID)"
wait_for "the watchdog" restarts "$before"
wait_for "the hub" runs
echo "hung: $(show ActiveState) again, $(by_watchdog) by the watchdog"

echo "a database that takes no commit"
was=$(readings) epoch=$(epoch) before=$(show NRestarts) bitten=$(by_watchdog)
# Without a time to wait in, it would fail while the hub commits, and lock nothing.
sqlite3 /var/lib/frostguard/hub.db ".timeout 60000" "BEGIN IMMEDIATE" ".shell sleep 600" & lock=$!
wait_for "the watchdog" restarts "$before"
[ "$(by_watchdog)" -gt "$bitten" ] && echo "starved: by the watchdog"
kill "$lock"
wait_for "the hub" runs
wait_for "more readings" more_than "$was"
echo "starved: $(show ActiveState) again, $([ -n "$epoch" ] && [ "$(epoch)" = "$epoch" ] && echo the same epoch), aside: $(ls /var/lib/frostguard | grep -c damaged)"

systemctl stop frostguard-hub frostguard-receiver
echo "stopped $(show ActiveState) $(show Result)"
echo "receiver stopped $(systemctl show --property=ActiveState --property=Result --value frostguard-receiver | tr "\n" " ")"
journalctl --no-pager --output=cat --unit frostguard-hub --unit frostguard-receiver
echo complete
systemctl --force poweroff
'

test_booted() { # hub receiver
    say "$arch: both services under systemd"
    need systemd-nspawn systemd-container
    install_package "$1"
    install_package "$2"
    add_onewire
    database=booted_$arch
    query postgres "CREATE DATABASE $database"
    # Its tables come before the sites; what central owns the receiver never makes.
    bind_postgres
    inside env FROSTGUARD_DATABASE_URL="$(database_url "$database")" frostguard-receiver migrate >/dev/null
    unbind_postgres
    query "$database" "$SITE_SQL"
    database_url "$database" >"$here/database_url"
    printf '%s' "${CHECK/SITE_ID/$SITE}" >"$here/usr/local/bin/check-hub"
    chmod 755 "$here/usr/local/bin/check-hub"
    printf '[Service]\nExecStart=/usr/local/bin/check-hub\nStandardOutput=file:/check.log\nStandardError=file:/check.log\n' \
        >"$here/etc/systemd/system/check-hub.service"
    ln -s ../check-hub.service "$here/etc/systemd/system/multi-user.target.wants/"
    # The self-test from within the sandbox: the filter, the codecs' child process, the clock. A deadline that a test can
    # wait for, and which a core that waits for a locked database misses.
    mkdir "$here/etc/systemd/system/frostguard-hub.service.d"
    printf '[Service]\nExecStartPre=/usr/bin/frostguard-hub selftest\nWatchdogSec=12s\nTimeoutAbortSec=2s\n' \
        >"$here/etc/systemd/system/frostguard-hub.service.d/test.conf"
    local mounted
    for mounted in dev/pts dev proc; do umount "$here/$mounted"; done
    local unified=0
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then unified=1; fi
    # It ends by itself when the check is complete.
    SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=$unified timeout --kill-after=30 "$BOOT_S_MAX" systemd-nspawn --quiet --directory="$here" --boot \
        --register=no --keep-unit --private-network --system-call-filter="adjtimex clock_adjtime" --bind="$postgres_dir/socket:/run/pg" \
        --console=pipe </dev/null >"$scratch/boot.log" 2>&1 || true
    if [ ! -s "$here/check.log" ]; then
        tail -n 30 "$scratch/boot.log"
        # One that began and came to nothing is the package's doing, or the check's.
        if grep -q "running in system mode" "$scratch/boot.log"; then fail "$arch: it booted, and the check did not run"; fi
        echo "SKIPPED: this system cannot boot a root in a container; the lines above say why"
        return
    fi
    cat "$here/check.log"
    says() { grep -qE "$1" "$here/check.log"; }
    expect "everything came that was waited for" sh -c '! grep "WAITED IN VAIN" "$0"' "$here/check.log"
    expect "it starts, as its own user, under a watchdog" says '^started active as frostguard, watchdog 12s'
    expect "the self-test passes inside the sandbox" says '^disk +ok'
    expect "and is told how good the clock is" says '^clock +ok +[^ ]+Z, (not )?synchronized'
    expect "it starts without any credential" says '^no credentials: 0'
    expect "it is given one that is put there" says '^credentials hub_mqtt'
    expect "it has no capability, and a filter for system calls" says '^sandbox .*CapBnd: 0+ .*NoNewPrivs: 1 .*Seccomp: 2'
    expect "it hears a sensor" says '^hears it'
    expect "the receiver waits for an address of a database" says '^receiver without an address: inactive no|^receiver without an address: no inactive'
    expect "and starts with one, as its own user" says '^receiver (active frostguard-receiver|frostguard-receiver active)'
    expect "the hub enrols" says '^enrolled'
    expect "readings are in PostgreSQL" [ "$(query "$database" 'SELECT count(*) FROM sensor_readings')" -ge 5 ]
    expect "it is started again" says '^killed: active again'
    expect "a hub that hangs is, too" says '^hung: active again, [1-9]'
    expect "one whose database takes no commit is, too" says '^starved: by the watchdog'
    expect "and goes on with the same database" says '^starved: active again, the same epoch, aside: 0'
    expect "it stops cleanly" says '^stopped inactive success'
    expect "the receiver stops cleanly" says '^receiver stopped (inactive success|success inactive)'
}
