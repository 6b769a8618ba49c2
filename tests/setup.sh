#!/bin/bash
# Brings a Debian 12 machine with Rust to the state that the tests and benchmarks need.
#
#   tests/setup.sh [host] [vm] [guest] [clients] [peers] [youki] [old] [registry] [images]     (none: host, vm, guest and clients)
#
#   host    packages that the tests call, by apt, on this machine
#   vm      the test VM's kernel, unpacked into target/vm/kernel; nothing is installed
#   guest   a tree with systemd, podman and AppArmor of Debian sid, unpacked into target/vm/guest
#   clients podman, containerd, dockerd and what they call, runc and crun, of Debian sid with sid's libc,
#           unpacked into target/peers/clients
#   registry  docker-registry and skopeo of Debian sid with sid's libc, unpacked into target/peers/registry
#   images  mmdebstrap, which the recipe of an image calls
#   peers   crun, runc and bubblewrap of Debian sid with sid's libc, unpacked into target/peers/sid;
#           umoci and skopeo in a tree of their own, target/peers/images
#   youki   youki of crates.io, built without libseccomp and systemd, beside the runtimes of Debian sid
#   old     crun and runc of Debian 12, whose weaknesses are published and fixed since, into target/peers/old
#
# It may be run as often as wanted: what is there already costs no network access and no time.
# The mirror is the one this machine's own apt sources name.
set -euo pipefail

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target=${CARGO_TARGET_DIR:-$repo/target}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# Package, and the test environment that calls it.
host_packages=(
    qemu-system-x86 # tests/vm: the machine
    busybox-static  # tests/vm: the guest's userland; root file systems of test bundles
    cpio            # tests/vm: the initramfs
    xz-utils        # tests/vm: kernel modules
    secilc          # tests/vm: the SELinux policy
    jq              # tests and Makefile: reports, cargo's messages
    python3         # benches: the driver
    procps          # the ps verb calls ps
    tmux            # tests: terminals
    git             # tests: runs inside the sandbox, as perl and curl do
    perl            # tests: probes inside the sandbox
    curl            # tests: runs under the tool filter
    python3-seccomp # tests: libseccomp answers the same
    uidmap          # tests: rootless id maps (newuidmap)
    sudo            # tests: the sudoers door
    openssl         # tests: certificates and keys of registries and signatures
    systemd         # tests: the unit is one (systemd-analyze)
)
registry_packages=(docker-registry skopeo)
peer_packages=(crun runc bubblewrap)
old_packages=(crun runc)
# What the VM boots where systemd is pid 1: no recommended packages, no udev, no firmware.
guest_packages=(
    systemd dbus dbus-user-session libpam-systemd libpam-modules libpam-runtime login passwd # pid 1, its bus, sessions
    bash coreutils util-linux mount procps grep sed mawk findutils jq tar busybox-static iproute2
    podman conmon runc crun catatonit netavark passt uidmap nftables golang-github-containers-common
    apparmor selinux-policy-default policycoreutils
)
# What unpacks images beside pinfold, and what an image is made of.
image_packages=(umoci skopeo bash coreutils tar gzip zstd findutils golang-github-containers-common)
# Package, and who calls it inside the tree of the clients.
client_packages=(
    runc crun busybox-static bash coreutils util-linux mount procps grep sed mawk findutils jq tar
    podman conmon catatonit netavark aardvark-dns passt uidmap iproute2 nftables golang-github-containers-common
    containerd docker.io docker-cli iptables kmod
    python3 python3-grpcio protobuf-compiler # the caller of the CRI
)

die() {
    echo "setup: $*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# The log is shown only when the command fails.
quietly() {
    local log
    log=$(mktemp)
    if ! "$@" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        die "failed: $*"
    fi
    rm -f "$log"
}

install_packages() {
    local missing=() package
    for package; do
        [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    [ "${#missing[@]}" = 0 ] && return
    echo "setup: installing ${missing[*]}"
    quietly as_root apt-get update
    quietly as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends "${missing[@]}"
}

# The URI under which this machine gets Debian itself.
mirror() {
    local codename uri
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    uri=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
        awk -v codename="$codename" '$1 == codename && $2 ~ /debian\/?$/ { print $2; exit }')
    [ -n "$uri" ] || die "no apt source of this machine names Debian $codename"
    echo "$uri"
}

# apt with its own sources, lists, cache and an empty package database, so that the machine's own
# configuration stays as it is and no installed package counts as a met dependency.
private_apt() {
    local suite=$1 state=$target/cache/apt/$1
    shift
    apt-get -q \
        -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
        -o Dir::State="$state" -o Dir::State::lists="$state/lists" -o Dir::State::status="$state/status" \
        -o Dir::Cache="$state" -o Dir::Cache::archives="$target/cache/debs/$suite" \
        -o APT::Sandbox::User=root -o Debug::NoLocking=1 -o APT::Install-Recommends=false \
        -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none -o DPkg::Post-Invoke::= \
        -o APT::Update::Post-Invoke::= "$@"
}

prepare_private_apt() {
    local suite=$1 state=$target/cache/apt/$1
    mkdir -p "$state/lists/partial" "$target/cache/debs/$suite/partial"
    : >"$state/status"
    echo "deb [signed-by=$keyring] $(mirror) $suite main" >"$state/sources.list"
    quietly private_apt "$suite" update
}

# Downloads the packages with all that they depend on.
download() {
    local suite=$1
    shift
    prepare_private_apt "$suite"
    find "$target/cache/debs/$suite" -maxdepth 1 -name '*.deb' -delete
    quietly private_apt "$suite" -y install --download-only "$@"
}

# The packages' content in a new folder, which appears under its name only when it is complete.
unpack() {
    local folder=$1 deb
    shift
    rm -rf "$folder" "$folder.part"
    mkdir -p "$folder.part"/usr/{bin,sbin,lib,lib64}
    for deb in bin sbin lib lib64; do ln -s "usr/$deb" "$folder.part/$deb"; done
    for deb in "$@"; do quietly dpkg-deb -x "$deb" "$folder.part"; done
    mv "$folder.part" "$folder"
}

# fetch FOLDER SUITE PACKAGE...: what the packages hold, in a new folder.
fetch() {
    local folder=$1 suite=$2
    shift 2
    echo "setup: fetching $* of Debian $suite"
    download "$suite" "$@"
    unpack "$folder" "$target/cache/debs/$suite"/*.deb
}

fetch_vm_kernel() {
    local folder=$target/vm/kernel suite=bookworm-backports image
    [ -d "$folder" ] && return
    echo "setup: fetching the VM's kernel"
    prepare_private_apt "$suite"
    # The metapackage names the image; only that one is fetched, without initramfs-tools and the like.
    image=$(apt_dependency "$suite" linux-image-cloud-amd64)
    cd "$target/cache/debs/$suite"
    rm -f -- *.deb
    quietly private_apt "$suite" download "$image"
    cd "$repo"
    unpack "$folder" "$target/cache/debs/$suite"/*.deb
}

apt_dependency() {
    local suite=$1 state=$target/cache/apt/$1
    apt-cache -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
        -o Dir::State="$state" -o Dir::State::lists="$state/lists" -o Dir::State::status="$state/status" \
        -o Dir::Cache="$state" depends "$2" | awk '$1 == "Depends:" { print $2; exit }'
}

fetch_peers() {
    local folder=$target/peers/sid
    [ -d "$folder" ] && return
    fetch "$folder" sid "${peer_packages[@]}"
}

# Of crates.io, which has no binaries; its filters and its systemd driver would want C libraries.
fetch_youki() {
    local program=$target/peers/sid/usr/bin/youki
    [ -x "$program" ] && return
    fetch_peers
    echo 'setup: building youki 0.7.0'
    quietly cargo install --quiet --locked --version 0.7.0 --no-default-features --features v1,v2 \
        --root "$target/peers/youki" youki
    install "$target/peers/youki/bin/youki" "$program"
}

fetch_image_tools() {
    local folder=$target/peers/images
    [ -d "$folder" ] && return
    fetch "$folder.new" sid "${image_packages[@]}"
    mkdir -p "$folder.new"/{proc,dev,tmp,mnt,etc,var/tmp}
    printf '%s\n' root:x:0:0:root:/root:/bin/bash >"$folder.new/etc/passwd"
    ln -sf bash "$folder.new/usr/bin/sh"
    ldconfig -r "$folder.new"
    mv "$folder.new" "$folder"
}

fetch_registry() {
    local folder=$target/peers/registry
    [ -d "$folder" ] && return
    fetch "$folder.new" sid "${registry_packages[@]}"
    mkdir -p "$folder.new"/{proc,dev,run,tmp,var/tmp,root,mnt,etc/containers}
    echo '{"default": [{"type": "insecureAcceptAnything"}]}' >"$folder.new/etc/containers/policy.json"
    ldconfig -r "$folder.new"
    mv "$folder.new" "$folder"
}

fetch_old() {
    local folder=$target/peers/old
    [ -d "$folder" ] && return
    fetch "$folder.new" bookworm "${old_packages[@]}"
    # Packages of Debian 12 are not merged with /usr yet.
    for part in bin sbin lib lib64; do
        [ ! -L "$folder.new/$part" ] && [ -d "$folder.new/$part" ] || continue
        mkdir -p "$folder.new/usr/$part"
        cp -a "$folder.new/$part/." "$folder.new/usr/$part/"
    done
    mv "$folder.new" "$folder"
}

# A root file system in which programs can be started, without any package's own scripts: what those
# would have made is made here.
fetch_clients() {
    local folder=$target/peers/clients cache=$target/cache/debs/sid account
    [ -d "$folder" ] && return
    echo "setup: fetching podman, containerd and dockerd of Debian sid"
    download sid "${client_packages[@]}"
    # The protocol's published definition; its Go dependencies are not wanted.
    (cd "$cache" && quietly private_apt sid download golang-k8s-cri-api-dev)
    unpack "$folder.new" "$cache"/*.deb
    mkdir -p "$folder.new"/{proc,sys,dev,run,tmp,opt,root,mnt,etc,var/lib,var/log}
    printf '%s\n' root:x:0:0:root:/root:/bin/bash nobody:x:65534:65534:nobody:/:/usr/sbin/nologin \
        user:x:1000:1000:user:/home/user:/bin/bash >"$folder.new/etc/passwd"
    printf '%s\n' root:x:0: tty:x:5: user:x:1000: nogroup:x:65534: docker:x:999: >"$folder.new/etc/group"
    for account in subuid subgid; do echo user:100000:65536 >"$folder.new/etc/$account"; done
    ln -sf bash "$folder.new/usr/bin/sh"
    ln -sf mawk "$folder.new/usr/bin/awk"
    for account in iptables ip6tables; do ln -sf xtables-nft-multi "$folder.new/usr/sbin/$account"; done
    ldconfig -r "$folder.new"
    mv "$folder.new" "$folder"
}

# A disk for the VM: a system that systemd brings up with its bus and little else. The packages' own
# scripts do not run; what they would have made is made here.
fetch_guest() {
    local image=$target/vm/guest.img folder=$target/vm/guest cache=$target/cache/debs/sid unit
    [ -f "$image" ] && return
    echo "setup: fetching systemd, podman and AppArmor of Debian sid"
    download sid "${guest_packages[@]}"
    unpack "$folder" "$cache"/*.deb
    rm -rf "$folder"/usr/share/{doc,man,info,locale,bash-completion,perl,perl5,gnupg} "$folder"/usr/bin/{perl*,gpg*,dirmngr*}
    mkdir -p "$folder"/{proc,sys,dev,run,tmp,root,mnt,home/user,tests,etc/systemd/system,var/lib,var/log,var/tmp}
    chmod 1777 "$folder/tmp" "$folder/var/tmp"
    chown 1000:1000 "$folder/home/user"
    printf '%s\n' root:x:0:0:root:/root:/bin/bash user:x:1000:1000:user:/home/user:/bin/bash \
        messagebus:x:100:100::/nonexistent:/usr/sbin/nologin nobody:x:65534:65534:nobody:/:/usr/sbin/nologin \
        >"$folder/etc/passwd"
    printf '%s\n' root:x:0: tty:x:5: systemd-journal:x:101: messagebus:x:100: user:x:1000: nogroup:x:65534: \
        adm:x:4: utmp:x:43: >"$folder/etc/group"
    for unit in subuid subgid; do echo user:100000:65536 >"$folder/etc/$unit"; done
    echo 0123456789abcdef0123456789abcdef >"$folder/etc/machine-id"
    echo guest >"$folder/etc/hostname"
    # What a test machine does not need and emulation makes slow.
    for unit in ldconfig.service systemd-firstboot.service systemd-journal-catalog-update.service tmp.mount \
        systemd-journal-flush.service systemd-sysusers.service systemd-update-done.service systemd-random-seed.service \
        systemd-binfmt.service kmod-static-nodes.service systemd-hibernate-clear.service dev-hugepages.mount \
        systemd-machine-id-commit.service systemd-tmpfiles-setup-dev-early.service systemd-sysctl.service \
        systemd-tmpfiles-setup-dev.service sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount \
        sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount getty-static.service getty.target \
        selinux-autorelabel-mark.service imports.target; do
        ln -sf /dev/null "$folder/etc/systemd/system/$unit"
    done
    ln -sf bash "$folder/usr/bin/sh"
    ln -sf mawk "$folder/usr/bin/awk"
    ln -sf busybox "$folder/usr/bin/usleep"
    ln -sf xtables-nft-multi "$folder/usr/sbin/iptables"
    ldconfig -r "$folder"
    rm -f "$image.part"
    quietly mke2fs -q -t ext4 -O ^has_journal -d "$folder" "$image.part" 900M
    rm -rf "$folder"
    mv "$image.part" "$image"
}

[ -f /etc/debian_version ] || die "this machine is not a Debian; install ${host_packages[*]} by hand"
[ $# -gt 0 ] || set -- host vm guest clients
for part in "$@"; do
    case $part in
    host) install_packages "${host_packages[@]}" ;;
    vm) fetch_vm_kernel ;;
    guest) fetch_guest ;;
    clients) fetch_clients ;;
    peers)
        fetch_peers
        fetch_image_tools
        ;;
    youki) fetch_youki ;;
    old) fetch_old ;;
    registry) fetch_registry ;;
    images) install_packages mmdebstrap ;;
    *) die "unknown part: $part (host, vm, guest, clients, peers, youki, old, registry, images)" ;;
    esac
done
