#!/bin/bash
# LVM2 2.03.16 (Debian 2.03.16-2), root and loop devices. A power cut in vgrename after the first disk's metadata area and
# before the second's leaves one group (one VGID) with two names: the new one with the higher sequence number, and the old one.
# Expected: the newer metadata count, as they do for every other change that was cut there.
# Seen: `vgs` lists the group by its OLD name and sequence number, warns of a "duplicate VGID", and prints internal errors;
#   WARNING: fix duplicate VGID ... for VGs vg and new (see vgchange -u).
#   Internal error: lvmcache_update_vgname vg ... vg ...
# while a tag that was added and cut at the same place is shown from the newer metadata without any error.
set -u
dir=$(mktemp -d) && cd "$dir" || exit 1
trap 'for d in ${a-} ${b-}; do losetup -d "$d"; done; rm -rf "$dir"' EXIT
fail() { echo "CHANGED: $*"; exit 1; }
apt-get download -q "lvm2=2.03.16-2" >/dev/null 2>&1 && dpkg -x lvm2_*.deb root || fail "cannot get lvm2 2.03.16-2"
truncate -s 16M one two; a=$(losetup -f --show one); b=$(losetup -f --show two)
cat > lvm.conf <<C
devices { filter = [ "a|^$a\$|", "a|^$b\$|", "r|.*|" ] global_filter = [ "a|^$a\$|", "a|^$b\$|", "r|.*|" ] use_devicesfile = 0 hints = "none" }
global { locking_dir = "$dir/lock" event_activation = 0 }
backup { backup = 0 archive = 0 }
C
export LVM_SYSTEM_DIR=$dir LC_ALL=C LVM_SUPPRESS_FD_WARNINGS=1
lvm() { command "$dir/root/sbin/lvm" "$1" --driverloaded n "${@:2}" 2>&1 | grep -v 'Activation disabled'; }
cut_after_first() { dd if="$b" of=kept bs=1M count=1 status=none; lvm "$@" >/dev/null; dd if=kept of="$b" bs=1M conv=notrunc,fsync status=none; }
lvm vgcreate vg "$a" "$b" >/dev/null
cut_after_first vgchange --addtag later vg
out=$(lvm vgs --noheadings -o vg_name,vg_tags,vg_seqno); echo "tag, cut: $out"
grep -q 'vg *later *2' <<<"$out" || fail "the newer metadata do not count for a tag"
grep -q 'Internal error' <<<"$out" && fail "an internal error for a tag"
lvm vgck --updatemetadata vg >/dev/null
cut_after_first vgrename vg new
out=$(lvm vgs --noheadings -o vg_name,vg_seqno); echo "name, cut: $out"
grep -q 'duplicate VGID' <<<"$out" || fail "no duplicate VGID is seen"
grep -q 'Internal error' <<<"$out" || fail "no internal error any more"
grep -Eq '^ *vg +[0-9]+$' <<<"$out" || fail "the group has not the old name"
echo "AS DESCRIBED"
