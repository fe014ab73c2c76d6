#!/usr/bin/env python3
"""Decodes every image file below some folders with the program and with Pillow, and compares the RGB.

    compare_images.py PROGRAM FOLDER...     exit 1 where a file that both read comes out differently

The program is asked by `inspect --image FILE --processor FOLDER --json`. Of 16-bit grey the high byte is expected, as the program takes it.
Files that Pillow reads and the program refuses are listed with the message; for some it is right (a format that it does not read, an end cut off).
"""

import collections
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
from PIL import Image

READ = {"JPEG", "MPO", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM"}


def by_pillow(file):
    """(format, size, SHA-256 of the RGB), or why not."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(file)
            kind, mode = image.format, image.mode
            rgb = numpy.asarray(image.convert("RGB"))
            if mode.startswith("I;16") or (mode == "I" and kind == "PPM"):
                twelve = kind == "TIFF" and image.tag_v2.get(258) == (12,)
                rgb = numpy.repeat((numpy.asarray(image).astype(int) >> (4 if twelve else 8)).astype(numpy.uint8)[..., None], 3, axis=2)
        return kind, [rgb.shape[1], rgb.shape[0]], hashlib.sha256(numpy.ascontiguousarray(rgb).tobytes()).hexdigest()
    except Exception as error:  # whatever a plugin throws
        return None, None, str(error)


def by_program(program, processor, file):
    command = [program, "inspect", "--image", file, "--processor", processor, "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        if "error" in done.stderr.lower():
            return "noise", done.stderr
        result = json.loads(done.stdout)
        return "read", (result["size"], result["rgb_sha256"])
    return ("refused" if done.returncode == 2 else "crashed"), done.stderr.strip()


def main():
    program, folders = sys.argv[1], [Path(name) for name in sys.argv[2:]]
    files = sorted(file for folder in folders for file in folder.rglob("*") if file.is_file())
    counts, differing = collections.defaultdict(collections.Counter), []
    with tempfile.TemporaryDirectory() as processor, ThreadPoolExecutor(os.cpu_count()) as pool:
        (Path(processor) / "preprocessor_config.json").write_text("{}")
        asked = [(file, by_pillow(file)) for file in files]
        asked = [(file, expected) for file, expected in asked if expected[0] in READ or expected[0] is None]
        for (file, (kind, size, digest)), (how, answer) in zip(asked, pool.map(lambda item: by_program(program, processor, item[0]), asked)):
            if how in ("crashed", "noise"):
                outcome = how
            elif kind is None:
                outcome = "read by the program alone" if how == "read" else "read by neither"
            elif how == "refused":
                outcome = "read by Pillow alone"
            else:
                outcome = "equal" if answer == (size, digest) else "different"
            counts[kind or "not read by Pillow"][outcome] += 1
            if outcome in ("different", "crashed", "noise"):
                differing.append(file)
            if outcome not in ("equal", "read by neither"):
                print(f"{outcome}: {file}: {' / '.join(str(answer).splitlines()[:2]) if how != 'read' else digest if kind is None else ''}")
    for kind, outcomes in sorted(counts.items()):
        print(f"{kind}: " + ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common()))
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
