#!/bin/bash
# click 8.1.8 (PyPI) with fish 3.6.0 (Debian 3.6.0-3.1+deb12u1). An option that takes a list with commas completes its last word: the
# completer returns whole values ("name,size" for "name,si"), as it must, because fish replaces the whole word.
# Expected: fish offers name,size. bash does: click's bash script reads "type,value" with the rest of the line as the value.
# Seen: fish offers nothing. click's fish script splits each line of type and value at EVERY comma and takes the second piece, "name",
#   which does not begin with what was typed. A value without a comma is completed.
set -u
dir=$(mktemp -d) && cd "$dir" || exit 1
trap 'rm -rf "$dir"' EXIT
fail() { echo "CHANGED: $*"; exit 1; }
python3 -m venv venv && venv/bin/pip install -q --disable-pip-version-check click==8.1.8 || fail "cannot install click 8.1.8"
apt-get download -q fish=3.6.0-3.1+deb12u1 fish-common=3.6.0-3.1+deb12u1 >/dev/null 2>&1 || fail "cannot get fish 3.6.0-3.1+deb12u1"
for package in *.deb; do dpkg -x "$package" root; done
apt-get download -q libpcre2-32-0 >/dev/null 2>&1 && dpkg -x libpcre2-32-0*.deb root
cat > tool <<P
#!$dir/venv/bin/python
import click
from click.shell_completion import CompletionItem

def columns(ctx, param, incomplete):
    head, comma, word = incomplete.rpartition(",")
    return [CompletionItem(head + comma + name) for name in ("name", "size") if name.startswith(word)]

@click.command()
@click.option("--show", shell_complete=columns)
def tool(show):
    pass

tool(prog_name="tool")
P
chmod +x tool
export PATH=$dir:$PATH HOME=$dir LC_ALL=C.UTF-8 LD_LIBRARY_PATH=$dir/root/usr/lib/x86_64-linux-gnu
fish() { "$dir/root/usr/bin/fish" --no-config -c "_TOOL_COMPLETE=fish_source tool | source; complete -C '$1'"; }
plain=$(fish 'tool --show na'); list=$(fish 'tool --show name,si')
raw=$(_TOOL_COMPLETE=fish_complete COMP_WORDS='tool --show name,si' COMP_CWORD='name,si' tool)
echo "click 8.1.8 answers '$raw'; fish offers '$plain' for 'na', and '$list' for 'name,si'"
[ "$plain" = name ] || fail "a value without a comma is not completed"
[ "$raw" = "plain,name,size" ] || fail "click answers something else"
[ -z "$list" ] || fail "fish offers something for a list"
echo "AS DESCRIBED"
