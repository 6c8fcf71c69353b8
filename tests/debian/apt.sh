# apt on a bad day. Sourced by tests/run, tests/packages and tests/board.
# shellcheck shell=bash disable=SC2034 # the caller's variables

# A connection that drops is made again, and dpkg's lock is waited for: a machine that was just booted updates itself.
APT_PATIENCE=(-o Acquire::Retries=3 -o DPkg::Lock::Timeout=300)
# apt-get waits neither for the lock of the lists nor for a mirror that is being renewed.
UPDATE_TRIES_MAX=6
UPDATE_PAUSE_S=10

update_lists() { # apt-get with what is before `update`
    local try
    for try in $(seq "$UPDATE_TRIES_MAX"); do
        if "$@" "${APT_PATIENCE[@]}" -o APT::Update::Error-Mode=any update; then return; fi
        echo "the package lists could not be updated, try $try of $UPDATE_TRIES_MAX" >&2
        sleep "$UPDATE_PAUSE_S"
    done
    # That one source of several does not answer is for the caller to find out, by what it lacks.
    "$@" "${APT_PATIENCE[@]}" update
}
