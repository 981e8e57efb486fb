"""Run a command and write what the kernel says of it: `timed.py REPORT LONGEST_SECONDS COMMAND...`.

It is small, because a process starts with the peak memory of the one that started it.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time


def main() -> None:
    report, longest, *command = sys.argv[1:]
    began = time.monotonic()
    process = subprocess.Popen(command)
    watch = threading.Timer(float(longest), process.kill)
    watch.daemon = True
    watch.start()
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    taken = {
        "seconds": time.monotonic() - began,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
        "exit_code": process.returncode,
    }
    with open(report, "w", encoding="utf-8") as file:  # noqa: PTH123  pathlib would double what is imported
        json.dump(taken, file)


if __name__ == "__main__":
    main()
