"""The few options of curl that the docs use: a fresh machine may have only Python, git and make."""

import argparse
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("url")
    options.add_argument("--silent", action="store_true")
    options.add_argument("--fail", action="store_true")
    options.add_argument("--retry", type=int, default=0)
    options.add_argument("--retry-delay", type=float, default=1)
    options.add_argument("--retry-max-time", type=float, default=120)
    options.add_argument("--retry-all-errors", action="store_true")
    options.add_argument("--output")
    options.add_argument("-H", dest="headers", action="append", default=[])
    options.add_argument("-d", dest="data")
    given = options.parse_args()
    headers = dict(line.split(": ", 1) for line in given.headers)
    body = given.data.encode() if given.data is not None else None
    ends = time.monotonic() + given.retry_max_time
    for left in range(given.retry, -1, -1):
        status, answer = ask(urllib.request.Request(given.url, body, headers))
        if status < 400 or not left or time.monotonic() > ends:
            break
        time.sleep(given.retry_delay or 0.2)
    if status < 400 or not given.fail:
        (Path(given.output).write_bytes if given.output else sys.stdout.buffer.write)(answer)
    return 0 if status < 400 or (status < 600 and not given.fail) else 22


def ask(request: urllib.request.Request) -> tuple[int, bytes]:
    """Status and body; 600 when nobody answered."""
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 600, b""


if __name__ == "__main__":
    sys.exit(main())
