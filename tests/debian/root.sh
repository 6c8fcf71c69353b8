# Debian roots: made once, entered by chroot or proot, and left again. Sourced by tests/packages and tests/board.
# shellcheck shell=bash disable=SC2154 # the caller's variables

# --- What it needs ---------------------------------------------------------------------------------------------------

need() { # program package
    if command -v "$1" >/dev/null; then return; fi
    say "getting $2"
    { update_lists apt-get -q && install_beside "$2"; } ||
        cannot "missing: $2; apt-get could not install it"
}

# A package that displaces none.
install_beside() { # package
    DEBIAN_FRONTEND=noninteractive apt-get install "${APT_PATIENCE[@]}" -q -y --no-install-recommends --no-remove "$1"
}

qemu_name() { case $1 in amd64) echo x86_64 ;; arm64) echo aarch64 ;; armhf) echo arm ;; esac; }
is_foreign() { [ "$1" != "$native" ]; }

# Programs of another architecture start by themselves where the kernel knows the emulator; else proot starts them, which
# FROSTGUARD_EMULATE=proot asks for.
enter=chroot
prepare_emulation() { # architecture
    enter=chroot
    if ! is_foreign "$1"; then return; fi
    local qemu
    qemu=$(qemu_name "$1")
    need "qemu-$qemu-static" qemu-user-static
    if [ "${FROSTGUARD_EMULATE:-}" != proot ] && knows_emulator "$qemu"; then return; fi
    echo "without binfmt_misc: the root for $1 runs by proot"
    need proot proot
    enter=proot
}

knows_emulator() { # qemu's name of an architecture
    if [ ! -e /proc/sys/fs/binfmt_misc/register ] && mount -t binfmt_misc none /proc/sys/fs/binfmt_misc 2>/dev/null; then
        mounted_binfmt=yes
    fi
    if [ -e "/proc/sys/fs/binfmt_misc/qemu-$1" ]; then return; fi
    # The F flag lets it work in roots that do not hold the emulator.
    [ -w /proc/sys/fs/binfmt_misc/register ] || return 1
    grep -v '^#' "/usr/lib/binfmt.d/qemu-$1.conf" >/proc/sys/fs/binfmt_misc/register 2>/dev/null || return 1
    registered+=("qemu-$1")
}

make_root() { # architecture
    local packages=adduser,ca-certificates,debconf,init-system-helpers,libgcc-s1,sqlite3
    if ! is_foreign "$1"; then packages+=,systemd,systemd-sysv,dbus,udev; fi
    # One that was made from another list is of no use.
    tar=$roots/$SUITE-$1-$(cksum <<<"$packages" | cut -d' ' -f1).tar
    if [ -s "$tar" ]; then return; fi
    say "a root of $SUITE for $1"
    mkdir -p "$roots"
    rm -f "$roots/$SUITE-$1.tar" "$roots/$SUITE-$1"-[0-9]*.tar
    if [ "$enter" = proot ]; then
        bootstrap_by_proot "$1" "$packages"
    else
        need mmdebstrap mmdebstrap
        need arch-test arch-test
        local options=(--quiet --format=tar --aptopt='Acquire::Retries "3"' --architectures="$1" --variant=minbase --include="$packages")
        # The index of the security suite for a rarer architecture is not always whole.
        mmdebstrap "${options[@]}" "$SUITE" "$tar.part" ||
            mmdebstrap "${options[@]}" "$SUITE" "$tar.part" "$(mirror)" || cannot "mmdebstrap could not make the root"
    fi
    mv "$tar.part" "$tar"
}

# Where this system has the suite from.
mirror() {
    local found
    # shellcheck disable=SC2016 # apt's own variables
    found=$(apt-get indextargets --format '$(REPO_URI)' "Codename: $SUITE" "Created-By: Packages" | sed -n 1p)
    [ -n "$found" ] || cannot "this system has no package source of $SUITE"
    echo "$found"
}

# In two halves: unpacked by this machine's programs, configured by the root's own.
# Older proots do not know statx and let it look at this system's own files; told that the kernel has none, qemu uses what
# they know.
NO_STATX='
    use Config;
    my %numbers = (x86_64 => [332, 157], aarch64 => [291, 167]);
    my ($statx, $prctl) = @{ $numbers{(split /-/, $Config{archname})[0]} // die "no numbers of system calls for this machine\n" };
    # load the number; if it is that of statx: ENOSYS, else allow
    my $filter = join "", map { pack "SCCL", @$_ } [0x20, 0, 0, 0], [0x15, 0, 1, $statx], [0x06, 0, 0, 0x50000 | 38], [0x06, 0, 0, 0x7fff0000];
    my $program = pack "S x6 P", 4, $filter;
    syscall($prctl, 22, 2, $program, 0, 0) == 0 or die "filter system calls: $!\n";
    exec { $ARGV[0] } @ARGV or die "$ARGV[0]: $!\n";'
by_proot() { # architecture folder; the command that enters it
    entered=(perl -e "$NO_STATX" proot -q "qemu-$(qemu_name "$1")-static" -r "$2" -b /dev -b /proc -w /)
}

bootstrap_by_proot() { # architecture packages
    need debootstrap debootstrap
    local made=$scratch/bootstrap from
    from=$(mirror)
    debootstrap --foreign --arch="$1" --variant=minbase --include="$2" "$SUITE" "$made" "$from" || cannot "debootstrap failed"
    # In some containers it leaves a link to /proc itself.
    if [ -L "$made/proc" ]; then rm "$made/proc" && mkdir "$made/proc"; fi
    by_proot "$1" "$made"
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 DEBOOTSTRAP_DIR=/debootstrap \
        "${entered[@]}" /debootstrap/debootstrap --second-stage ||
        cannot "the second half of debootstrap failed under proot"
    tar -C "$made" --numeric-owner --exclude='./dev/*' -cf "$tar.part" .
    rm -rf --one-file-system "$made"
}

# --- Inside ----------------------------------------------------------------------------------------------------------

enter_root() { # architecture
    here=$scratch/root-$1
    mkdir "$here"
    tar -xf "$tar" -C "$here"
    mount -t proc proc "$here/proc"
    mount --bind /dev "$here/dev"
    mount --bind /dev/pts "$here/dev/pts"
    clean=(env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8)
    case $enter in
        chroot) entered=(chroot "$here") ;;
        proot)
            by_proot "$1" "$here"
            # Its own loader is root's alone, so that who becomes another user does it outside and comes in.
            chmod 711 "$scratch"
            ;;
    esac
    by=("${clean[@]}" "${entered[@]}")
}
leave_root() {
    stop_hub || true
    stop_receiver || true
    if [ -n "$feeder" ]; then kill "$feeder" 2>/dev/null || true; feeder=; fi
    if [ -n "$here" ]; then
        unbind_postgres
        local mounted
        for mounted in dev/pts dev proc; do
            if mountpoint -q "$here/$mounted"; then umount "$here/$mounted" || true; fi
        done
        # Never this system's own files.
        for mounted in run/pg dev/pts dev proc; do
            if mountpoint -q "$here/$mounted"; then
                echo "left behind, since it is still mounted: $here/$mounted" >&2
                trap - EXIT
                exit 1
            fi
        done
        rm -rf --one-file-system "$here"
        here=
    fi
}
inside() { "${by[@]}" "$@"; }
# The process of a program that `inside` runs as a job: proot stays its parent, the others become it.
process_of() { # job
    if [ "$enter" = proot ]; then pgrep --parent "$1" | sed -n 1p; else echo "$1"; fi
}
# Asks a program to end, if there is one; one that does not is killed, and that is a failure.
STOP_S_MAX=120
end_job() { # job log
    local pid ended=0
    if [ -z "$1" ]; then return; fi
    pid=$(process_of "$1")
    kill -TERM "$pid"
    if ! timeout "$STOP_S_MAX" tail --pid="$1" -f /dev/null; then
        echo "it does not end within $STOP_S_MAX s"
        kill -KILL "$pid" "$1" 2>/dev/null || true
    fi
    wait "$1" || ended=$?
    [ "$ended" = 0 ] || { tail -n 20 "$2"; echo "it ended with $ended"; return 1; }
}
# What runs a command as a user of the root.
become() { # user; sets `as`
    if [ "$enter" = chroot ]; then
        as=("${by[@]}" setpriv --reuid "$1" --regid "$1" --init-groups)
        return
    fi
    local uid gid groups
    IFS=: read -r _ _ uid gid _ < <(grep "^$1:" "$here/etc/passwd")
    groups=$(grep -E "[:,]$1(,|\$)" "$here/etc/group" | cut -d: -f3 | paste -sd, || true)
    # The filter is root's to set.
    as=("${clean[@]}" "${entered[@]:0:3}" setpriv --reuid "$uid" --regid "$gid" --groups "$gid${groups:+,$groups}" "${entered[@]:3}")
}
as_hub() {
    become frostguard
    "${as[@]}" "$@"
}
install_package() { # file
    cp "$1" "$here/srv/package.deb"
    inside dpkg --install /srv/package.deb
}

expect() { # words command...
    local words=$1
    shift
    "$@" || fail "$arch: $words"
    printf 'ok: %s\n' "$words"
}
is() { [ "$1" = "$2" ] || { printf 'is %s, not %s\n' "$1" "$2"; return 1; }; }
mode_of() { inside stat -c '%a %U:%G' "$1"; }
exists() { [ -e "$here$1" ] || [ -L "$here$1" ]; }
missing() { ! exists "$1"; }
has_user() { grep -q "^$1:" "$here/etc/passwd"; }
sql() { inside sqlite3 /var/lib/frostguard/hub.db "$1"; }

