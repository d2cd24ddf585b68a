#!/usr/bin/env python3
"""Adapter in the suite's older form, a command: --version, or --test-file with --arg, --env and --dir. See README.md here."""
import argparse
import subprocess
import sys
from pathlib import Path

import odonata

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--version", action="store_true")
parser.add_argument("--test-file")
parser.add_argument("--arg", action="append", default=[])
parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
parser.add_argument("--dir", action="append", default=[], metavar="HOST[::GUEST]")
options = parser.parse_args()

if options.version:
    print(f"{odonata.get_name()} {odonata.get_version()}")
    sys.exit(0)
if options.test_file is None:
    parser.error("--test-file is missing")

argv = [odonata.VKCTL, "run", "--bare"]
for variable in options.env:
    argv += ["--env", variable]
for grant in options.dir:
    host, _, guest = grant.partition("::")
    # A folder without a name for the program is named as it was given, as in other runtimes.
    argv += ["--dir", f"{Path(host).resolve()}:{guest or host}"]
sys.exit(subprocess.run(argv + [options.test_file] + options.arg).returncode)
