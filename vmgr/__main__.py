"""Where a vmgr process begins: ``python -m vmgr`` and the console script.

Until there is something to say about it, Ctrl-C ends the process as it ends any other, without a traceback; whoever
started vmgr with that signal ignored still has it ignored.
"""

# The interpreter has this module in memory; `signal` takes its time.
from _signal import SIG_DFL, SIGINT, default_int_handler, getsignal, signal  # type: ignore[import-not-found]

if getsignal(SIGINT) is default_int_handler:
    signal(SIGINT, SIG_DFL)


def start() -> None:
    """Run the process's command line and end the process."""
    from vmgr.cli.main import main

    main()


if __name__ == "__main__":
    import sys

    sys.argv[0] = "vmgr"
    start()
