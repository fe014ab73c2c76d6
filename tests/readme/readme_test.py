#!/usr/bin/env python3
"""Runs every command of the README's ```sh blocks, in order, in a folder where a quick demo has been made.

    tests/readme/readme_test.py PROGRAM README.md

Blocks that say ```LANGUAGE title=FILE are written to FILE first. `make` lines are not run here: they are what runs this test. Fails with the
command and what it printed; and where there is nothing to run, so that a change of the README's form does not go unnoticed.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

LEAST = 8  # commands that the README is known to have


def main():
    program, readme = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    blocks = re.findall(r"^```(\w+)(?: title=(\S+))?\n(.*?)^```$", readme.read_text(), re.S | re.M)
    with tempfile.TemporaryDirectory() as folder:

        def run(command):
            print(f"$ {command}", flush=True)
            result = subprocess.run(["bash", "-euc", command], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if result.returncode != 0:
                sys.exit(f"{result.stdout}\nexit code {result.returncode} of: {command}")

        run("multimeditron demo --quick --quiet --output demo-output")
        commands = 0
        for language, title, text in blocks:
            if title:
                file = pathlib.Path(folder, title)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            elif language == "sh":
                for command in text.splitlines():
                    run(command)
                    commands += 1
    if commands < LEAST:
        sys.exit(f"only {commands} commands found in {readme}")
    print(f"{commands} commands of the README work")


if __name__ == "__main__":
    main()
