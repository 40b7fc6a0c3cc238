#!/bin/sh
# Makes the fixtures lvm2-*/ beside this script: what LVM2's own tools write and load for linear, striped, snapshot,
# zero and error volumes. Each folder holds the metadata (vgcfgbackup), the kernel's tables, names and UUIDs, the
# statuses, the links in /dev and what lvs shows. Run from the top of the checkout:
#
#   vmgr lab --no-udev --disk /tmp/a.img:300M --disk /tmp/b.img:300M --share tests/golden \
#       -- sh tests/golden/make_lvm2_stacks.sh
set -e
here=$(dirname "$(realpath "$0")")
export LVM_SYSTEM_DIR=/tmp/lvm2-stacks LVM_SUPPRESS_FD_WARNINGS=1
mkdir -p "$LVM_SYSTEM_DIR"
echo 'global { use_lvmpolld = 0 }' >"$LVM_SYSTEM_DIR/lvm.conf"
modprobe dm-snapshot 2>/dev/null || true
columns=vg_name,lv_name,lv_attr,segtype,stripes,stripe_size,chunk_size,origin,origin_size,data_percent,snap_percent
columns=$columns,lv_merging,lv_merge_failed,lv_snapshot_invalid,lv_size,lv_full_name

fresh() { # NAME [VGCREATE OPTION...]: an empty group
    vg=$1
    shift
    pvcreate -q -ff -y /dev/ubda /dev/ubdb >/dev/null
    vgcreate -q "$@" "$vg" /dev/ubda /dev/ubdb >/dev/null
}

keep() { # FOLDER: write down what there is now, at one moment where it matters
    out=$here/lvm2-$1
    mkdir -p "$out"
    dmsetup status >"$out/status.txt"
    dmsetup table >"$out/table.txt"
    dmsetup info -c --noheadings --separator ' ' -o major,minor,open,attr,name,uuid >"$out/info.txt"
    lvs -q -a --segments --units s --nosuffix --separator '|' -o "$columns" >"$out/lvs.txt" 2>/dev/null
    (cd "$out" && vgcfgbackup -q -f metadata.vg "$vg" >/dev/null)
    pvs --noheadings --separator ' ' -o pv_uuid,major,minor | tr -s ' ' | sed 's/^ //' >"$out/pvs.txt"
    (cd /dev && find "$vg" -type l 2>/dev/null | sort | while read -r l; do
        echo "$l $(basename "$(readlink -f "$l")")"
    done) >"$out/links.txt"
}

clean() {
    exec 3<&-
    vgremove -q -ff -y "$vg" >/dev/null 2>&1 || { sleep 1; vgremove -q -ff -y "$vg" >/dev/null; }
    pvremove -q -ff -y /dev/ubda /dev/ubdb >/dev/null
}

# -- linear and striped --------------------------------------------------------------------------

fresh vg
lvcreate -q -y -L40M -n lin vg /dev/ubda
lvcreate -q -y -L20M -n other vg /dev/ubda
lvextend -q -l+5 vg/lin
lvextend -q -l+100%FREE vg/lin /dev/ubda
lvextend -q -l+3 vg/lin
lvcreate -q -y -l1 -n ro-v.1+x -pr -My --major 253 --minor 77 vg
keep linear
clean

fresh vg-with-hyphens
lvcreate -q -y -L64M -i2 -n str vg-with-hyphens
lvcreate -q -y -L16M -i2 -I8k -n small-stripes vg-with-hyphens
lvextend -q -L+16M vg-with-hyphens/str
lvextend -q -L+8M -i1 vg-with-hyphens/str
lvextend -q -L+8M -i2 -I4k vg-with-hyphens/str
keep striped
clean

# -- nowhere -------------------------------------------------------------------------------------

fresh vg
lvcreate -q -y --type zero -L40M -n nothing vg
lvcreate -q -y --type zero -L1T -n endless vg
lvcreate -q -y --type error -L8M -n broken vg
lvextend -q -l+2 vg/nothing
lvextend -q -l+2 vg/broken
lvreduce -q -y -l-1 vg/broken
lvcreate -q -y -s -L8M -n snap vg/endless
keep nowhere
lvchange -q -y -an vg/endless
lvremove -q -y vg/endless
lvextend -q -y -l+2 --type error vg/nothing
lvextend -q -y -l+1 --type zero vg/nothing
keep nowhere-mixed
clean

# -- snapshots -----------------------------------------------------------------------------------

fresh vg
lvcreate -q -y -L40M -n base vg
lvcreate -q -y -s -L8M -n snap vg/base
keep snapshot
dd if=/dev/urandom of=/dev/vg/base bs=1M count=3 conv=fsync 2>/dev/null
keep snapshot-written
lvextend -q -L+8M vg/snap
keep snapshot-extended
lvchange -q -y -an vg/base
lvextend -q -L+4M vg/base
lvchange -q -y -ay vg/base
keep snapshot-origin-extended
clean

fresh vg
lvcreate -q -y -L40M -n base vg
lvcreate -q -y -s -L8M -n snap vg/base
lvcreate -q -y -s -L20M -c 64k -pr -n snap-2 vg/base
keep snapshots
lvremove -q -y vg/snap
lvcreate -q -y -s -l100%ORIGIN -n whole vg/base
keep snapshots-2
clean

fresh vg
lvcreate -q -y -L40M -i2 -I16k -n base vg
lvcreate -q -y -s -L16M -i2 -n snap vg/base
keep snapshot-striped
clean

fresh vg
lvcreate -q -y -an -Wn -Zn -L40M -n base vg
lvcreate -q -y -s -L8M -n snap vg/base
keep snapshot-inactive
clean

fresh vg
lvcreate -q -y -L40M -n base vg
lvcreate -q -y -s -L4M -n snap vg/base
dd if=/dev/urandom of=/dev/vg/base bs=1M count=8 conv=fsync 2>/dev/null
keep snapshot-invalid
clean

# -- merging -------------------------------------------------------------------------------------

fresh vg
lvcreate -q -y -L40M -n base vg
lvcreate -q -y -s -L8M -n snap vg/base
lvcreate -q -y -s -L8M -n snap-2 vg/base
exec 3</dev/vg/base
lvconvert -y --merge vg/snap
keep merge-pending
lvcreate -q -y -s -L4M -n later vg/base || true
lvextend -q -L+4M vg/snap-2
keep merge-pending-extended
lvchange -q --refresh vg/base
keep merge-pending-refreshed
clean

fresh vg
lvcreate -q -y -L100M -n base vg
lvcreate -q -y -s -L100M -n snap vg/base
lvcreate -q -y -s -L100M -n snap-2 vg/base
dd if=/dev/urandom of=/dev/vg/snap bs=1M count=90 conv=fsync 2>/dev/null
for p in /sys/module/*/parameters/snapshot_copy_throttle; do [ -e "$p" ] && echo 1 >"$p"; done
lvconvert -q -y -b --merge vg/snap
keep merge-started
for p in /sys/module/*/parameters/snapshot_copy_throttle; do [ -e "$p" ] && echo 100 >"$p"; done
until dmsetup status vg-base | awk '{split($4,a,"/"); exit !(a[1]==$5)}'; do sleep 0.2; done
keep merge-done
vgchange -q -an vg
keep merge-inactive
vgchange -q -ay --poll n vg
lvchange -q --poll y vg/base
while lvs vg/snap >/dev/null 2>&1; do sleep 0.2; done
keep merge-finished
clean
