#!/bin/sh
# LVM2 2.03.16 (Debian 12): `vgextend -y GROUP DEVICE` wipes the device and labels it as a physical volume before it looks
# whether there is such a group. With a name that is mistyped it ends with status 5 and "Volume group ... not found", and the
# file system that was on the device is gone. (`vgcreate` of a name that is taken looks first.)
#
# Seen, on a file with an ext4 file system behind a loop device:
#   Wiping ext4 signature on /dev/loopN.
#   Physical volume "/dev/loopN" successfully created.
#   Volume group "mistyped" not found
#   Cannot process volume group mistyped
# Status 5; blkid says LVM2_member where it said ext4.
#
# Needs root, loop devices and apt. Fails if the behaviour is another one.
set -eu
folder=$(mktemp -d)
loop=
trap '[ -z "$loop" ] || losetup -d "$loop"; rm -rf "$folder"' EXIT
cd "$folder"
apt-get -q download lvm2=2.03.16-2 libdevmapper1.02.1=2:1.02.185-2 libdevmapper-event1.02.1=2:1.02.185-2 libaio1 libedit2 \
    libbsd0 libmd0 e2fsprogs util-linux >download.log 2>&1 || { cat download.log; exit 1; }
for package in *.deb; do dpkg -x "$package" root; done
libraries=$(find "$folder/root" -name '*.so.*' -printf '%h\n' | sort -u | tr '\n' ':')
lvm() { name=$1; shift; LD_LIBRARY_PATH="$libraries" LVM_SYSTEM_DIR="$folder" LVM_SUPPRESS_FD_WARNINGS=1 "$folder/root/sbin/lvm" "$name" --driverloaded n "$@"; }
truncate -s 64M disk.img
"$folder/root/sbin/mke2fs" -q -F -t ext4 disk.img
loop=$(losetup -f --show disk.img)
cat >lvm.conf <<C
devices { filter=["a|^$loop\$|","r|.*|"] use_devicesfile=0 hints="none" obtain_device_list_from_udev=0 }
global { locking_dir="$folder/lock" event_activation=0 }
backup { backup=0 archive=0 }
C
lvm version | grep -F 'LVM version:     2.03.16(2)'
kind() { blkid -p -o value -s TYPE "$loop"; }
[ "$(kind)" = ext4 ]
status=0
lvm vgextend -y mistyped "$loop" >said 2>&1 </dev/null || status=$?
cat said
[ "$status" = 5 ]
grep -q 'Volume group "mistyped" not found' said
grep -q 'Wiping ext4 signature on' said
[ "$(kind)" = LVM2_member ]
echo "as described: status $status, and the device that held ext4 is a physical volume"
