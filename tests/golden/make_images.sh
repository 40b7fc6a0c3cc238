#!/bin/sh
# Makes the fixtures images-*.tar.xz beside this script: disk images that LVM2's own tools wrote, what those
# tools say about them (JSON reports), and the backup file of the group. Run from the top of the checkout:
#
#   vmgr lab --no-udev --disk /tmp/a.img:64M --disk /tmp/b.img:64M --disk /tmp/c.img:64M --disk /tmp/d.img:64M \
#       --share tests/golden -- sh tests/golden/make_images.sh
#
# Names of scenarios as arguments make only those.
set -e
here=$(dirname "$(realpath "$0")")
wanted=$*
export LVM_SYSTEM_DIR=/tmp/lvm2-images LVM_SUPPRESS_FD_WARNINGS=1 TZ=UTC0 LC_ALL=C
mkdir -p "$LVM_SYSTEM_DIR"
hostname golden.example 2>/dev/null || true
a=/dev/ubda b=/dev/ubdb c=/dev/ubdc d=/dev/ubdd

configure() { # [FILTER...]: lvm.conf; a filter hides disks
    cat >"$LVM_SYSTEM_DIR/lvm.conf" <<EOF
global { use_lvmpolld = 0 event_activation = 0 system_id_source = "${owner:-none}" }
local { system_id = "golden.example" }
devices { use_devicesfile = 0 hints = "none" filter = [ $* "a|ubd|", "r|.*|" ] }
activation { monitoring = 0 }
metadata { record_lvs_history = 1 lvs_history_retention_time = 0 }
backup { archive = 0 }
allocation { thin_pool_zero = 0 }
EOF
}

fresh() { # NAME: clean disks for a scenario, or false if it is not wanted
    name=$1
    case " $wanted " in *" $name "* | "  ") ;; *) return 1 ;; esac
    configure
    for disk in $a $b $c $d; do
        dd if=/dev/zero of=$disk bs=4M 2>/dev/null || true
    done
    echo "$name"
}

keep() { # the images and the reports, as they are now
    sync
    dir=$(mktemp -d)
    for disk in a b c d; do
        cp --sparse=always /dev/ubd$disk "$dir/$disk.img"
    done
    report="--reportformat json --units b --nosuffix"
    pvs $report -a -o pv_all,vg_name >"$dir/pvs.json" 2>/dev/null
    vgs $report -o vg_all >"$dir/vgs.json" 2>/dev/null
    lvs $report -a -o vg_name,lv_uuid,lv_name,lv_size,lv_tags,lv_attr,lv_read_ahead,lv_major,lv_minor,lv_time,lv_host \
        >"$dir/lvs.json" 2>/dev/null
    vgcfgbackup -q -f "$dir/%s.vg" >/dev/null 2>&1 || true
    tar -C "$dir" -S -cJf "$here/images-$name.tar.xz" --owner=0 --group=0 --mtime=@0 --sort=name .
    rm -r "$dir"
}

clean() {
    vgchange -q -an >/dev/null 2>&1 || true
}

# Labels in each of the four sectors; no, one and two metadata areas; a PV without a group.
if fresh labels; then
    pvcreate -q --labelsector 0 --metadatacopies 0 $a
    pvcreate -q --labelsector 1 --metadatacopies 1 $b
    pvcreate -q --labelsector 2 --metadatacopies 2 $c
    pvcreate -q --labelsector 3 --metadatacopies 2 $d
    vgcreate -q vg $a $b $c
    lvcreate -q -an -l20 -n lin vg
    keep
    clean
fi

# The same label twice on one disk: the first one counts.
if fresh twolabels; then
    pvcreate -q --labelsector 2 $a
    dd if=$a of=/tmp/old.label bs=512 skip=2 count=1 2>/dev/null
    dd if=/dev/zero of=$a bs=512 count=4 2>/dev/null
    pvcreate -q --labelsector 1 $a
    dd if=/tmp/old.label of=$a bs=512 seek=2 conv=notrunc,fsync 2>/dev/null
    keep
fi

# A ring that the committed text goes round the end of.
if fresh wrapped; then
    pvcreate -q --metadatasize 60k --dataalignment 64k --metadatacopies 2 $a
    vgcreate -q -s 64k vg $a
    n=0
    while :; do
        n=$((n + 1))
        lvcreate -q -an -Zn -Wn -y -l1 -n "lv$n" vg >/dev/null 2>&1
        headers=$(pvck --dump headers $a 2>/dev/null)
        at=$(echo "$headers" | sed -n 's/^ *mda_header_1.raw_locn\[0\].offset //p')
        size=$(echo "$headers" | sed -n 's/^ *mda_header_1.raw_locn\[0\].size //p')
        ring=$(echo "$headers" | sed -n 's/^ *mda_header_1.size //p')
        [ $((at + size)) -le "$ring" ] || break
        [ "$n" -lt 60 ] || exit 1
    done
    keep
    clean
fi

# Every field that linear and striped volumes can have.
if fresh fields; then
    vgcreate -q --alloc cling --addtag 'tag+1' --addtag '#2!&=/x' -l 100 -p 10 -s 1m vg $a $b $c >/dev/null
    pvchange -q -xn $c
    pvchange -q --addtag pvtag $a
    lvcreate -q -an -l3 -n lin vg
    lvcreate -q -an -l4 -i2 -I16k -n str --addtag t1 --addtag 't#2' vg
    lvextend -q -l+3 vg/lin
    lvcreate -q -an -l1 -n numbers -My --major 253 --minor 77 vg
    lvcreate -q -an -l1 -n ahead -r 512 vg
    lvcreate -q -an -l1 -n noahead -r none vg
    lvcreate -q -an -l1 -n tight --alloc contiguous vg
    lvcreate -q -an -l1 -n readonly -pr vg
    lvcreate -q -an -l1 -n skip -ky vg
    lvcreate -q -an -l1 -n noauto --setautoactivation n vg
    lvcreate -q -an -l1 -n 0+a.b_c-d vg
    vgchange -q --setautoactivation n vg
    keep
    clean
fi

if fresh exported; then
    vgcreate -q vg $a $b >/dev/null
    lvcreate -q -an -l3 -n lin vg
    vgexport -q vg
    keep
    clean
fi

# A group with an owner: WRITE is written as WRITE_LOCKED.
if fresh owned; then
    owner=lvmlocal configure
    vgcreate -q vg $a $b >/dev/null
    lvcreate -q -an -l3 -n lin vg
    lvcreate -q -an -l3 -pr -n ro vg
    keep
    clean
fi

# Data that starts late, bootloader areas, areas that are ignored.
if fresh placed; then
    pvcreate -q --bootloaderareasize 1m --dataalignment 2m --metadatacopies 2 $a
    pvcreate -q --dataalignment 4m --dataalignmentoffset 7s --metadatasize 300k $b
    pvcreate -q --metadataignore y --bootloaderareasize 3m $c
    pvcreate -q --setphysicalvolumesize 50m --metadatacopies 2 -y $d
    vgcreate -q vg $a $b $c $d
    lvcreate -q -an -l12 -i4 -n str vg
    keep
    clean
fi

# A PV that was away while the group changed: its copy is old.
if fresh stale; then
    vgcreate -q vg $a $b $c >/dev/null
    lvcreate -q -an -l3 -n lin vg $a
    lvcreate -q -an -l3 -n onb vg $b
    configure '"r|ubdc|",'
    vgreduce -q --removemissing vg >/dev/null 2>&1 || true
    lvcreate -q -an -l3 -n later vg $a
    configure
    keep
    clean
fi

# A PV is missing and the group says so.
if fresh missing; then
    vgcreate -q vg $a $b $c >/dev/null
    lvcreate -q -y -l3 -m1 --type mirror --mirrorlog core -n mir vg $a $b
    lvchange -q -an vg/mir
    lvcreate -q -an -l3 -n onb vg $b
    configure '"r|ubdb|",'
    vgreduce -q --removemissing --mirrorsonly vg >/dev/null 2>&1 || true
    keep
    configure
    clean
fi

# Old-style snapshots, and a merge that waits.
if fresh snapshots; then
    vgcreate -q vg $a $b >/dev/null
    lvcreate -q -y -l3 -n base vg
    lvcreate -q -y -s -l2 -n snap1 vg/base
    lvcreate -q -y -s -c 8k -l2 -n snap2 vg/base
    exec 3</dev/vg/base
    lvconvert -q -y --merge vg/snap2 >/dev/null
    exec 3<&-
    keep
    clean
fi

# Types that vmgr has no plugin for.
if fresh stranger; then
    vgcreate -q -s 1m vg $a $b $c $d >/dev/null
    lvcreate -q -y -l4 --type raid1 -m1 -n r1 vg
    lvcreate -q -y -l4 --type raid5 -i2 -n r5 vg
    lvcreate -q -y -l4 --type raid0 -i2 -n r0 vg
    lvcreate -q -y -l4 --type mirror -m1 --mirrorlog disk -n mir vg
    lvcreate -q -y -l4 --type zero -n z vg
    lvcreate -q -y -l4 --type error -n e vg
    lvcreate -q -y -l8 -T vg/pool
    lvcreate -q -y -V 20m -T vg/pool -n thin
    lvcreate -q -y -s -n thinsnap vg/thin
    lvcreate -q -y -s -n thinsnap2 -kn vg/thinsnap
    lvremove -q -y vg/thinsnap
    lvcreate -q -y -l4 -n slow vg
    lvcreate -q -y -l8 --type cache-pool -n cpool vg
    lvconvert -q -y --type cache --cachepool vg/cpool --cachesettings 'migration_threshold=4096' vg/slow
    lvcreate -q -y -l4 -n main vg
    lvcreate -q -y -l4 -n wcache vg
    lvchange -q -an vg/wcache
    lvconvert -q -y --type writecache --cachevol wcache vg/main
    keep
    clean
fi
