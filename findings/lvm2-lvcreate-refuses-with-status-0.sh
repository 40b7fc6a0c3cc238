#!/bin/sh
# LVM2 2.03.16 (Debian 12): `lvcreate -an -Zy` says "Cannot zero inactive logical volume with option -Zy or -Wy.", makes no
# volume, and ends with status 0. A script goes on as if the volume were there. The same with `-pr -Zy`, `-aay -Zy` and
# `-ky -Zy`. (2.03.40 ends with 5.)
#
# Seen, on a file behind a loop device:
#   Cannot zero inactive logical volume with option -Zy or -Wy.
# Status 0; `lvs` lists no volume.
#
# Needs root, loop devices and apt. Fails if the behaviour is another one.
set -eu
folder=$(mktemp -d)
loop=
trap '[ -z "$loop" ] || losetup -d "$loop"; rm -rf "$folder"' EXIT
cd "$folder"
apt-get -q download lvm2=2.03.16-2 libdevmapper1.02.1=2:1.02.185-2 libdevmapper-event1.02.1=2:1.02.185-2 libaio1 libedit2 \
    libbsd0 libmd0 >download.log 2>&1 || { cat download.log; exit 1; }
for package in *.deb; do dpkg -x "$package" root; done
libraries=$(find "$folder/root" -name '*.so.*' -printf '%h\n' | sort -u | tr '\n' ':')
lvm() { name=$1; shift; LD_LIBRARY_PATH="$libraries" LVM_SYSTEM_DIR="$folder" LVM_SUPPRESS_FD_WARNINGS=1 "$folder/root/sbin/lvm" "$name" --driverloaded n "$@"; }
truncate -s 64M disk.img
loop=$(losetup -f --show disk.img)
cat >lvm.conf <<C
devices { filter=["a|^$loop\$|","r|.*|"] use_devicesfile=0 hints="none" obtain_device_list_from_udev=0 }
global { locking_dir="$folder/lock" event_activation=0 }
backup { backup=0 archive=0 }
C
lvm version | grep -F 'LVM version:     2.03.16(2)'
lvm vgcreate -q vg "$loop" 2>/dev/null
for options in '-an -Zy' '-pr -Zy' '-aay -Zy' '-ky -Zy'; do
    status=0
    # shellcheck disable=SC2086 # two options
    lvm lvcreate $options -l1 -n volume vg >said 2>&1 </dev/null || status=$?
    grep 'Cannot zero' said
    [ "$status" = 0 ]
    [ -z "$(lvm lvs --noheadings vg 2>/dev/null)" ]
done
echo "as described: status 0, and there is no volume"
