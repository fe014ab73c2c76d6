#!/usr/bin/env python3
"""Compares how the program shows real scans with pydicom and nibabel: every DICOM and NIfTI file below the folders named.

    compare_scans.py PROGRAM PROCESSOR FOLDER...

PROCESSOR is a folder with a preprocessor_config.json. Prints a line for each file that differs or that only one side reads, then a table;
exit 1 where a file differs, or where the program refuses what the libraries show. Needs the environment of tests/reference, and for lossy
12-bit JPEG and JPEG 2000 pylibjpeg's plugins, where they are installed.
"""

import collections
import gzip
import hashlib
import json
import logging
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "reference"))
import medical  # noqa: E402
import nibabel  # noqa: E402

VIEWS = {
    "dicom": [([], {}), (["--window", "soft_tissue"], {"window": (40, 400)}), (["--window", "percentile"], {"window": "percentile"})],
    "nifti": [([], {}), (["--axis", "coronal"], {"plane": "coronal"}), (["--axis", "sagittal", "--slice", "3", "--window", "minmax"], {"plane": "sagittal", "slice": 3, "window": "minmax"})],
}


def kind_of(file):
    """Files that are worth a try, by their first bytes or their name."""
    with file.open("rb") as stream:
        head = stream.read(352)
    if head[:2] == b"\x1f\x8b":
        try:
            head = gzip.open(file).read(352)
        except OSError:
            return None
    if head[344:347] in (b"n+1", b"ni1") or head[4:7] in (b"n+2", b"ni2"):
        return "nifti"
    return "dicom" if head[128:132] == b"DICM" or file.suffix.lower() == ".dcm" else None


def shown_by_libraries(kind, file, options):
    if kind == "nifti":
        return medical.render_nifti(nibabel.load(file), **options)
    return medical.render_dicom(str(file), **options)


def shown_by_program(program, processor, file, arguments):
    """(SHA-256, "") or (None, the complaint)."""
    done = subprocess.run([program, "inspect", "--image", str(file), "--processor", processor, "--json", *arguments], capture_output=True, text=True, errors="replace")
    if done.returncode == 0:
        return json.loads(done.stdout)["rgb_sha256"], ""
    if done.returncode != 2:
        sys.exit(f"{file}: exit code {done.returncode}\n{done.stderr}")
    return None, done.stderr.splitlines()[0].removeprefix("error: ")


def main():
    program, processor, *folders = sys.argv[1:]
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    table, refusals = collections.Counter(), collections.Counter()
    for file in sorted(file for folder in folders for file in Path(folder).rglob("*") if file.is_file()):
        kind = kind_of(file)
        for arguments, options in VIEWS.get(kind, []):
            try:
                rgb = np.ascontiguousarray(shown_by_libraries(kind, file, options))
                wanted, why = hashlib.sha256(rgb.tobytes()).hexdigest(), ""
            except Exception as error:  # whatever the libraries refuse a file with
                wanted, why = None, f"{type(error).__name__}: {str(error).splitlines()[0][:100] if str(error) else ''}"
            found, complaint = shown_by_program(program, processor, file, arguments)
            outcome = "refused by both" if wanted is None and found is None else "equal" if wanted == found else "read here only" if wanted is None else "read there only" if found is None else "different"
            table[kind, outcome] += 1
            if found is None:
                refusals[complaint] += 1
            if outcome not in ("equal", "refused by both"):
                print(f"{file.name} {' '.join(arguments)}: {outcome} {complaint or why}")
    for (kind, outcome), count in sorted(table.items()):
        print(f"{count:5}  {kind:6} {outcome}")
    for complaint, count in refusals.most_common():
        print(f"{count:5}  {complaint}")
    return 1 if any(outcome in ("different", "read there only") for _, outcome in table) else 0


if __name__ == "__main__":
    sys.exit(main())
