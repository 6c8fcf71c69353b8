# The hub's package. Sourced by tests/packages.
# shellcheck shell=bash disable=SC2154 # the caller's variables

start_hub() {
    inside install -d -o frostguard -g frostguard /run/frostguard
    # So that the file says that this one listens.
    rm -f "$here/run/frostguard/hub.sock"
    become frostguard
    "${as[@]}" frostguard-hub run >>"$scratch/hub.log" 2>&1 &
    hub=$!
    for _ in $(seq 1500); do
        if [ -S "$here/run/frostguard/hub.sock" ]; then return; fi
        kill -0 "$hub" 2>/dev/null || { tail -n 20 "$scratch/hub.log"; hub=; fail "$arch: the hub ended"; }
        sleep 0.2
    done
    fail "$arch: the hub did not start in 5 minutes"
}
stop_hub() {
    local job=$hub
    hub=
    end_job "$job" "$scratch/hub.log"
}
tell() { as_hub frostguard-hub "$@"; }

# Waits until the hub has stored at least so many readings: a look may fall between two commits, and emulation is slow.
STORED_S_MAX=300
stored_at_least() { # count
    local until=$((SECONDS + STORED_S_MAX)) count
    while :; do
        count=$(tell sql 'SELECT count(*) FROM sensor_readings' | tr -dc 0-9)
        if [ "${count:-0}" -ge "$1" ]; then return; fi
        [ "$SECONDS" -lt "$until" ] || break
        sleep 1
    done
    echo "${count:-no} readings after $STORED_S_MAX s more"
    tail -n 20 "$scratch/hub.log"
    return 1
}

# A sensor on a pseudo-terminal, one message a second.
start_feeder() {
    perl -e '
        use Fcntl; $| = 1;
        sysopen(my $near, "/dev/ptmx", O_RDWR | O_NOCTTY) or die "open /dev/ptmx: $!";
        my $unlocked = pack("i", 0);
        ioctl($near, 0x40045431, $unlocked) or die "unlock the terminal: $!";
        my $number = pack("i", 0);
        ioctl($near, 0x80045430, $number) or die "ask for the terminal: $!";
        my $far = "/dev/pts/" . unpack("i", $number);
        chmod(0666, $far) or die "open $far: $!";
        print "$far\n"; close(STDOUT);
        for (my $n = 1; ; $n++) {
            syswrite($near, qq({"id":"fridge-1","temperature_c":) . (3 + $n % 10 / 10) . qq(,"counter":$n}\n));
            sleep(1);
        }' >"$scratch/far" &
    feeder=$!
    for _ in $(seq 600); do
        if [ -s "$scratch/far" ]; then break; fi
        sleep 0.1
    done
    far=$(cat "$scratch/far")
    [ -n "$far" ] || fail "no pseudo-terminal in a minute"
}

# Gives the hub a sensor that it hears once a second. qemu-user cannot set a serial line's rate, so there it is a 1-Wire
# sensor as the kernel shows one, at 3.9 degrees.
add_sensor() {
    if ! is_foreign "$arch"; then
        start_feeder
        printf '\n[[serial]]\nname = "radio"\npath = "%s"\npreset = "json"\n' "$far" >>"$here/etc/frostguard/hub.toml"
        sensor=(fridge-1 --source serial --port radio)
    else
        add_onewire
    fi
}
add_onewire() {
    local folder=/srv/w1
    mkdir -p "$here$folder/28-0000071d5a3c"
    printf '%s : crc=47 YES\n%s t=3937\n' "3f 00 4b 46 7f ff 01 10 47" "3f 00 4b 46 7f ff 01 10 47" \
        >"$here$folder/28-0000071d5a3c/w1_slave"
    printf '\n[onewire]\npath = "%s"\ninterval_s = 1\n' "$folder" >>"$here/etc/frostguard/hub.toml"
    sensor=(28-0000071d5a3c --source onewire --port onewire)
}

# --- The hub ---------------------------------------------------------------------------------------------------------

WANTS=/etc/systemd/system/multi-user.target.wants/frostguard-hub.service
newest_no=$(printf '%s\n' migrations/sqlite/V*.sql | sed 's/.*V\([0-9]*\)__.*/\1/' | sort -n | tail -n 1)
# What the program of an earlier schema wrote.
written_before=$(printf '%s\n' tests/fixtures/hub-of-V*.sql | sort -V | tail -n 1)

test_hub() { # old new
    say "$arch: installing"
    install_package "$1"
    expect "the user exists, in the group of serial ports" inside sh -c 'id -nG frostguard | grep -qw dialout'
    expect "the service is enabled" exists "$WANTS"
    expect "the state is the hub's alone" is "$(mode_of /var/lib/frostguard)" "700 frostguard:frostguard"
    expect "the configuration is readable to the hub and not to all" is "$(mode_of /etc/frostguard/hub.toml)" "640 root:frostguard"
    expect "credentials are root's alone" is "$(mode_of /etc/frostguard/credentials)" "700 root:root"
    if ! is_foreign "$arch"; then test_udev; fi
    expect "the configuration is good" as_hub frostguard-hub config check
    local emulated=()
    if is_foreign "$arch"; then emulated=(--emulated); fi
    expect "the self-test passes" as_hub frostguard-hub selftest "${emulated[@]}" --dir /var/lib/frostguard

    say "$arch: running for $RUN_S s"
    add_sensor
    start_hub
    tell units add Walk-in --type walk_in_cooler
    tell devices add "${sensor[@]}" --unit Walk-in
    sleep "$RUN_S"
    tell status
    expect "it stored what it heard" stored_at_least $((RUN_S / 2))
    # 3: warnings only. There is no time server, no central and nobody to call.
    local found=0
    tell doctor || found=$?
    expect "doctor finds no failure" [ "$found" = 0 -o "$found" = 3 ]
    expect "it stops cleanly" stop_hub

    say "$arch: upgrading with a database that the version before wrote"
    rm -f "$here"/var/lib/frostguard/hub.db*
    as_hub sqlite3 /var/lib/frostguard/hub.db <"$written_before"
    local counts='SELECT (SELECT count(*) FROM hub_log), (SELECT count(*) FROM alerts), (SELECT count(*) FROM hub_frames)'
    local stored configured count
    stored=$(sql "$counts")
    expect "it is of an earlier schema" [ "$(sql 'SELECT max(version) FROM refinery_schema_history')" -lt "$newest_no" ]
    configured=$(md5sum <"$here/etc/frostguard/hub.toml")
    install_package "$2"
    expect "the newer version is there" is "$(inside dpkg-query -W -f '${Version}' frostguard-hub)" "$(dpkg-deb -f "$2" Version)"
    expect "the configuration is kept" is "$(md5sum <"$here/etc/frostguard/hub.toml")" "$configured"
    expect "the service is still enabled" exists "$WANTS"
    start_hub
    expect "the units are kept" is "$(tell units list | grep -c -e cooler -e fridge -e freezer)" 5
    expect "it stops cleanly" stop_hub
    # More may have come: it hears a sensor that was not paired then, and those that were are silent now.
    local kept wanted=${stored//|/ }
    read -r -a kept <<<"$(sql "$counts" | tr '|' ' ')"
    for count in $wanted; do
        expect "of $count rows none is lost" [ "${kept[0]}" -ge "$count" ]
        kept=("${kept[@]:1}")
    done
    expect "the database was migrated" is "$(sql 'SELECT max(version) FROM refinery_schema_history')" "$newest_no"
    local before
    before=$(cd "$here/var/lib/frostguard" && printf '%s\n' hub.db.before-V*)
    expect "the database before the migration is kept: $before" exists "/var/lib/frostguard/$before"
    expect "and is sound" is "$(inside sqlite3 "/var/lib/frostguard/$before" 'PRAGMA integrity_check')" ok

    say "$arch: removing"
    inside dpkg --remove frostguard-hub
    expect "the program is gone" missing /usr/bin/frostguard-hub
    expect "configuration and data stay" exists /etc/frostguard/hub.toml
    expect "configuration and data stay" exists /var/lib/frostguard/hub.db

    say "$arch: purging, nobody answers"
    inside dpkg --purge frostguard-hub
    expect "the configuration is gone" missing /etc/frostguard
    expect "the link of the service is gone" missing "$WANTS"
    expect "the data stays" exists /var/lib/frostguard/hub.db
    expect "and has its owner" has_user frostguard

    say "$arch: purging, the answer is yes"
    install_package "$2"
    expect "the data is taken up again" exists /var/lib/frostguard/hub.db
    inside sh -c 'echo "frostguard-hub frostguard-hub/purge_data boolean true" | debconf-set-selections'
    inside dpkg --purge frostguard-hub
    expect "the data is gone" missing /var/lib/frostguard
    expect "and the user" sh -c "! grep -q ^frostguard: '$here/etc/passwd'"
    if [ -n "$feeder" ]; then kill "$feeder" 2>/dev/null || true; fi
    feeder=
}

