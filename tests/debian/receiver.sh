# The receiver's package, and the hub's beside it. Sourced by tests/packages.
# shellcheck shell=bash disable=SC2154 # the caller's variables

RECEIVER_WANTS=/etc/systemd/system/multi-user.target.wants/frostguard-receiver.service
RECEIVER_URL=http://127.0.0.1:8443

# As the unit starts it: root's file is handed over as a credential.
start_receiver() {
    install -d "$here/run/receiver-credentials"
    inside install -o frostguard-receiver -m 0400 /etc/frostguard/credentials-receiver/database_url /run/receiver-credentials/database_url
    become frostguard-receiver
    "${as[@]}" env CREDENTIALS_DIRECTORY=/run/receiver-credentials frostguard-receiver \
        --config /etc/frostguard/receiver.toml run >>"$scratch/receiver.log" 2>&1 &
    receiver=$!
    for _ in $(seq 1500); do
        if is_serving; then return; fi
        kill -0 "$receiver" 2>/dev/null || { tail -n 20 "$scratch/receiver.log"; receiver=; fail "$arch: the receiver ended"; }
        sleep 0.2
    done
    tail -n 20 "$scratch/receiver.log"
    fail "$arch: the receiver did not serve in 5 minutes"
}
is_serving() { # it answers that it reaches its database
    perl -MIO::Socket::INET -e '
        my $to = IO::Socket::INET->new(PeerAddr => "127.0.0.1:8443", Timeout => 5) or exit 1;
        print $to "GET /readyz HTTP/1.0\r\n\r\n";
        exit(<$to> =~ m{^HTTP/1\.[01] 200 } ? 0 : 1);' 2>/dev/null
}
stop_receiver() {
    local job=$receiver
    receiver=
    end_job "$job" "$scratch/receiver.log"
}

# Waits until central has at least so many readings.
DELIVERED_S_MAX=300
delivered() { # count
    for _ in $(seq "$DELIVERED_S_MAX"); do
        if [ "$(query "$database" 'SELECT count(*) FROM sensor_readings')" -ge "$1" ]; then return; fi
        sleep 1
    done
    query "$database" 'SELECT count(*) FROM sensor_readings'
    tell status || true
    tail -n 20 "$scratch/receiver.log"
    return 1
}

test_receiver() { # old new hub
    say "$arch: the receiver, installing"
    if is_serving; then cannot "something else listens on port 8443 of this machine"; fi
    database=packages_$arch
    query postgres "CREATE DATABASE $database"
    bind_postgres
    install_package "$1"
    expect "the user exists" has_user frostguard-receiver
    expect "the service is enabled" exists "$RECEIVER_WANTS"
    expect "credentials are root's alone" is "$(mode_of /etc/frostguard/credentials-receiver)" "700 root:root"
    database_url "$database" >"$here/etc/frostguard/credentials-receiver/database_url"
    chmod 600 "$here/etc/frostguard/credentials-receiver/database_url"
    expect "root needs to name neither configuration nor database" inside frostguard-receiver config check
    expect "it makes its tables" inside frostguard-receiver migrate
    query "$database" "$SITE_SQL"
    inside frostguard-receiver hub add --site "$SITE" --name "Kitchen hub" --threshold-scale tenths --json >"$scratch/hub.json"
    local code
    code=$(sed -n 's/.*"code":"\([^"]*\)".*/\1/p' "$scratch/hub.json")
    expect "it gives a code for a hub" [ -n "$code" ]
    start_receiver

    say "$arch: a hub uploads to it"
    install_package "$3"
    add_onewire
    start_hub
    tell units add Walk-in --type walk_in_cooler
    tell devices add "${sensor[@]}" --unit Walk-in
    expect "the hub enrols" as_hub frostguard-hub enroll "$RECEIVER_URL" --create-units --code-file - <<<"$code"
    expect "readings arrive in PostgreSQL" delivered 5
    expect "doctor gets through to the receiver" tell_of credential ok

    say "$arch: upgrading the receiver"
    echo '# mine' >>"$here/etc/frostguard/receiver.toml"
    expect "it stops cleanly" stop_receiver
    install_package "$2"
    expect "the newer version is there" is "$(inside dpkg-query -W -f '${Version}' frostguard-receiver)" "$(dpkg-deb -f "$2" Version)"
    expect "an upgrade keeps the configuration" grep -q '# mine' "$here/etc/frostguard/receiver.toml"
    expect "and the address of the database" exists /etc/frostguard/credentials-receiver/database_url
    local before
    before=$(query "$database" 'SELECT count(*) FROM sensor_readings')
    inside frostguard-receiver migrate
    start_receiver
    expect "what came meanwhile arrives, too" delivered $((before + 5))
    expect "no reading twice" is "$(query "$database" 'SELECT count(*) - count(DISTINCT (unit_id, recorded_at)) FROM sensor_readings')" 0
    inside frostguard-receiver hub list
    expect "the hub stops cleanly" stop_hub
    expect "the receiver stops cleanly" stop_receiver

    say "$arch: removing and purging both"
    inside dpkg --remove frostguard-receiver
    expect "the program is gone" missing /usr/bin/frostguard-receiver
    expect "removing keeps the configuration" exists /etc/frostguard/receiver.toml
    inside dpkg --purge frostguard-receiver
    expect "purging removes it" missing /etc/frostguard/receiver.toml
    expect "and the address of the database" missing /etc/frostguard/credentials-receiver
    expect "and the user" sh -c "! grep -q ^frostguard-receiver: '$here/etc/passwd'"
    expect "and leaves the hub's configuration alone" exists /etc/frostguard/hub.toml
    inside sh -c 'echo "frostguard-hub frostguard-hub/purge_data boolean true" | debconf-set-selections'
    inside dpkg --purge frostguard-hub
    expect "nothing of either is left" missing /etc/frostguard
    unbind_postgres
}
# Whether doctor says so of a check; it has other words for other trouble.
tell_of() { # check verdict
    local found
    found=$(tell doctor --json || true)
    perl -0777 -e '
        my ($text, $check, $verdict) = @ARGV;
        exit 0 if grep { /"check": "\Q$check\E"/ && /"verdict": "\Q$verdict\E"/ } $text =~ /\{[^{}]*\}/g;
        print $text; exit 1;' "$found" "$1" "$2"
}
