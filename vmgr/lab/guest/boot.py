"""The machine's first process: set up, run the command, put everything on disk, power off.

Started by the kernel as ``python -I -S -B .../boot.py CONFIG``. It must never raise: an exit of
process 1 is a kernel panic.
"""

from __future__ import annotations

import json
import os
import sys


def main(config_path: str) -> None:
    """Run the machine that the file ``config_path`` describes. Does not return."""
    from vmgr.lab.guest import linux

    try:
        _main(config_path)
    except BaseException:
        import traceback

        # Goes to the console, which the host shows if a lab ends without a message.
        traceback.print_exc()
    sys.stderr.flush()
    linux.power_off()


def _main(config_path: str) -> None:
    from vmgr.lab.guest.ending import put_away
    from vmgr.lab.guest.machine import SetUpFailed, set_up
    from vmgr.lab.guest.modules import NoModules
    from vmgr.lab.guest.relay import Line, run_command

    with open(config_path) as source:
        config = json.load(source)
    os.environ.clear()
    os.environ.update(config["env"])
    line = Line("/dev/ttyS0")
    try:
        set_up(config)
        run_command(line, config)
    except (SetUpFailed, NoModules) as error:
        line.fail(str(error))
        return
    except OSError as error:
        line.fail(f"{error.filename or 'the machine'}: {error.strerror}")
        return
    put_away()
    line.finish()


if __name__ == "__main__":
    here = os.path.realpath(__file__)
    sys.path.insert(0, here.removesuffix("/vmgr/lab/guest/boot.py"))
    main(sys.argv[1])
