# Read with `.` by scripts that need programs of a newer Debian than the machine's, on
# Debian as root. debootstrap puts a small Debian into a folder below ~/.cache, once, and
# `enter` beside this file runs its programs.
#
# For newer versions delete the folder: the scripts print its name.

say() {
    echo "$*" >&2
}

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    say "$0 needs Debian and root, for debootstrap and mount."
    exit 1
fi
cache=${XDG_CACHE_HOME:-$HOME/.cache}/message-broker-lab
mkdir -p "$cache"

# make_root NAME SUITE PACKAGES FILE: sets root to the folder NAME in the cache, with that
# Debian and the packages in it. FILE is one that must be there then.
#
# One at a time: the lock ends with the subshell, so nothing inherits it.
make_root() {
    root=$cache/$1
    (
        flock 9
        [ -d "$root" ] || debootstrap_root "$@"
    ) 9>"$cache/lock"
}

debootstrap_root() {
    find_mirror
    say "Making $root with debootstrap: Debian $2 with $3"
    # It gets its name when it is complete. What an interrupted run has left goes first.
    rm -rf --one-file-system "$root.part"
    mkdir "$root.part"
    # In a mount namespace of its own, so that nothing debootstrap mounts can stay behind.
    # And as /mnt, because debootstrap fails where the path has a blank.
    if unshare --mount sh -euc '
            mount --bind "$3" /mnt
            exec debootstrap --variant=minbase --force-check-gpg \
                --include="$2" "$1" /mnt "$4"
        ' sh "$2" "$3" "$root.part" "$mirror" >"$root.log" 2>&1 &&
        test -e "$root.part/$4" &&
        rm -f "$root.part"/var/cache/apt/archives/*.deb &&
        mv "$root.part" "$root"; then
        return
    fi
    say "That failed. The end of $root.log:"
    tail -n 3 "$root.log" >&2
    return 1
}

# Sets mirror to the one that this machine's apt uses, and installs debootstrap.
find_mirror() {
    apt-get update >&2
    if ! command -v debootstrap >/dev/null; then
        say "Installing the package debootstrap with apt-get"
        DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
            debootstrap debian-archive-keyring >&2
    fi
    mirror=$(apt-get indextargets --format '$(REPO_URI)' \
        'Created-By: Packages' 'Label: Debian' | head -n 1)
}

# Sets root to a Debian with RabbitMQ 4.3, or with 4.0 where testing cannot be had.
make_rabbitmq_root() {
    for suite in testing trixie; do
        make_root "debian-$suite" "$suite" rabbitmq-server \
            usr/lib/rabbitmq/bin/rabbitmq-server && return
    done
    return 1
}
