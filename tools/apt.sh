# Functions that get packages of another architecture or release than this machine's and install nothing on it. Sourced by the scripts of
# this folder.
# shellcheck shell=bash

# Prints the distribution's own sources, as apt is configured on this machine: lines "URI RELEASE COMPONENT".
distribution_sources() {
    apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        sed -nE 's/^(Debian|Ubuntu) //p' | sort -u
}

# Prints the same lines for release $1, with the mirror $MIRROR if that is set.
sources_of_release() {
    local codename components
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    components=$(. /etc/os-release && if [ "$ID" = ubuntu ]; then echo main universe; else echo main; fi)
    if [ -n "${MIRROR:-}" ]; then
        echo "$MIRROR $1 $components"
    else
        distribution_sources | sed -E "s/ $codename([ -])/ $1\1/"
    fi
}

# Makes a separate state of apt in folder $1, for architecture $2 of release $3, and reads the lists of packages. apt_in uses the state.
apt_prepare() {
    local folder architecture=$2 release=$3 uri suite component keyring
    keyring=${KEYRING:-/usr/share/keyrings/$(. /etc/os-release && echo "$ID")-archive-keyring.gpg}
    mkdir -p "$1"/{lists/partial,cache/archives/partial,parts}
    folder=$(realpath "$1")
    : >"$folder/status"
    sources_of_release "$release" | while read -r uri suite component; do
        echo "deb [arch=$architecture signed-by=$keyring] $uri $suite $component"
    done >"$folder/sources.list"
    [ -s "$folder/sources.list" ] ||
        { echo "no sources of packages are known: run apt-get update first, or give MIRROR=URI" >&2 && return 1; }
    cat >"$folder/apt.conf" <<END
APT::Architecture "$architecture";
APT::Architectures { "$architecture"; };
APT::Install-Recommends "false";
APT::Sandbox::User "";
Dir::State "$folder";
Dir::State::lists "$folder/lists";
Dir::State::status "$folder/status";
Dir::Cache "$folder/cache";
Dir::Etc::sourcelist "$folder/sources.list";
Dir::Etc::sourceparts "$folder/parts";
END
    apt_in "$folder" update
}

# Runs apt-get with the state in folder $1.
apt_in() {
    local folder=$1
    shift
    APT_CONFIG=$folder/apt.conf apt-get -qq "$@"
}

# Unpacks packages $3... and all that they depend on into folder $2, with apt's state in folder $1. No script of a package
# is run.
apt_unpack() {
    local folder=$1 root=$2 package
    shift 2
    apt_in "$folder" install --download-only "$@"
    mkdir -p "$root"
    for package in "$folder"/cache/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -x -C "$root" --keep-directory-symlink --no-same-owner
    done
    # In releases where /bin, /lib and /sbin are links into /usr, the links are made by a package that is not unpacked here.
    for name in bin lib sbin; do
        [ -e "$root/$name" ] || ln -s "usr/$name" "$root/$name"
    done
}
