#!/bin/sh
# Makes the fixtures contract-*/ beside this script: what LVM2's own tools write and load for kinds of volumes that
# the paper test of the plugin contract (docs/architecture.md) is about. Each folder holds the metadata (vgcfgbackup), the kernel's tables, names and UUIDs, the
# statuses, the links in /dev and what lvs shows. Run from the top of the checkout:
#
#   vmgr lab --no-udev --disk /tmp/a.img:300M --disk /tmp/b.img:300M --disk /tmp/c.img:300M \
#       --share tests/golden -- sh tests/golden/make_contract_stacks.sh
set -e
here=$(dirname "$(realpath "$0")")
export LVM_SYSTEM_DIR=/tmp/contract-stacks LVM_SUPPRESS_FD_WARNINGS=1
mkdir -p "$LVM_SYSTEM_DIR"
echo 'global { use_lvmpolld = 0 }' >"$LVM_SYSTEM_DIR/lvm.conf"
for m in dm-snapshot dm-raid raid1 dm-thin-pool dm-cache dm-cache-smq; do modprobe $m 2>/dev/null || true; done
columns=vg_name,lv_name,lv_attr,segtype,stripes,stripe_size,chunk_size,origin,origin_size,data_percent,snap_percent
columns=$columns,lv_merging,lv_merge_failed,lv_snapshot_invalid,lv_size,lv_full_name

fresh() { # NAME [VGCREATE OPTION...]: an empty group
    vg=$1
    shift
    pvcreate -q -ff -y /dev/ubda /dev/ubdb /dev/ubdc >/dev/null
    vgcreate -q "$@" "$vg" /dev/ubda /dev/ubdb /dev/ubdc >/dev/null
}

keep() { # FOLDER: write down what there is now, at one moment where it matters
    out=$here/contract-$1
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
    pvremove -q -ff -y /dev/ubda /dev/ubdb /dev/ubdc >/dev/null
}

# -- RAID 1 ----------------------------------------------------------------------------------------

fresh vg
lvcreate -q -y --type raid1 -m1 -L20M -n r vg
until lvs --noheadings -o sync_percent vg/r | grep -q 100; do sleep 0.2; done
keep raid1
clean

# -- a thin pool, a thin volume, its snapshot ------------------------------------------------------

fresh vg
lvcreate -q -y -T -L40M -c64k vg/pool
keep thin-new
lvcreate -q -y -V 100M -T vg/pool -n thin
lvcreate -q -y -s -n tsnap vg/thin
lvchange -q -ay -K vg/tsnap
keep thin
vgchange -q -an vg
lvchange -q -ay vg/thin
keep thin-alone
clean

# -- a cache over RAID, and a snapshot of that ----------------------------------------------------

fresh vg
lvcreate -q -y --type raid1 -m1 -L40M -n c vg /dev/ubda /dev/ubdb
lvcreate -q -y --type cache-pool -L8M -n cp vg /dev/ubdc
lvconvert -q -y --type cache --cachepool vg/cp vg/c
keep cache-raid
lvcreate -q -y -s -L8M -n csnap vg/c
keep cache-raid-snapshot
clean
