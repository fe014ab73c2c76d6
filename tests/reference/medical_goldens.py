"""Writes tests/data/medical: tiny DICOM, NIfTI and JPEG 2000 files of awkward kinds, and how they are shown.

The files are written by pydicom, nibabel, Pillow and, for the JPEGs that Pillow does not write, GDCM; what is expected of them comes from
medical.py, for lossless kinds from the samples that went in. Run: python medical_goldens.py [tests/data/medical]
"""

import base64
import gzip
import hashlib
import io
import json
import pathlib
import struct
import sys
import tempfile
import warnings

import gdcm
import libjpeg
import nibabel
import numpy as np
import pydicom
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.sequence import Sequence

from medical import render_dicom, render_nifti, twelve_bits

warnings.simplefilter("ignore")
OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "data/medical")
OUT.mkdir(parents=True, exist_ok=True)
for old in OUT.iterdir():
    old.unlink()
rng = np.random.default_rng(11)
cases = []
MARKER = "ZZPATIENTZZ"


def write(name, data):
    (OUT / name).write_bytes(data)
    return data


def expect(name, rgb, **options):
    rgb = np.ascontiguousarray(rgb)
    cases.append({"file": name, **options, "width": rgb.shape[1], "height": rgb.shape[0], "rgb_sha256": hashlib.sha256(rgb.tobytes()).hexdigest()})


def fail(name, fault, **options):
    cases.append({"file": name, **options, "fault": fault})


# ---- DICOM


def smooth(h, w, low, high, channels=1):
    y, x = np.mgrid[0:h, 0:w]
    planes = [np.sin(x / (3 + c) + c) + np.cos(y / (4 - c / 2)) + rng.normal(0, 0.1, (h, w)) for c in range(channels)]
    image = np.stack(planes, axis=2)
    image = (image - image.min()) / (image.max() - image.min())
    return np.squeeze(np.rint(low + image * (high - low)).astype(np.int64), axis=2) if channels == 1 else np.rint(low + image * (high - low)).astype(np.int64)


def dataset(pixels, bits=16, stored=None, signed=False, photometric="MONOCHROME2", syntax=uid.ExplicitVRLittleEndian, frames=None, **elements):
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID = uid.SecondaryCaptureImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    data.SOPClassUID = uid.SecondaryCaptureImageStorage
    data.SOPInstanceUID = "1.2.3"
    data.PatientName = MARKER
    data.PatientID = MARKER
    data.StudyDescription = MARKER
    shape = pixels.shape[1:] if frames else pixels.shape
    data.Rows, data.Columns = shape[:2]
    data.SamplesPerPixel = 3 if len(shape) == 3 else 1
    data.PhotometricInterpretation = photometric
    if frames:
        data.NumberOfFrames = frames
    if data.SamplesPerPixel == 3:
        data.PlanarConfiguration = 0
    data.BitsAllocated, data.BitsStored = bits, stored or bits
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(signed)
    order = ">" if syntax == uid.ExplicitVRBigEndian else "<"
    raw = pixels.astype(f"{order}u{max(bits // 8, 1)}").tobytes()
    data.PixelData = raw + b"\0" * (len(raw) % 2)
    data["PixelData"].VR = "OB" if bits <= 8 else "OW"
    for name, value in elements.items():
        setattr(data, name, value)
    return data


def save(data):
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def dicom(name, data, frame=0, window=None, **expected):
    """Writes a file and expects what pydicom makes of it."""
    content = data if isinstance(data, bytes) else save(data)
    write(name, content)
    shown = expected.pop("rgb", None)
    if shown is None:
        shown = render_dicom(content, frame, window)
    options = {"frame": frame} if frame else {}
    expect(name, shown, **options, **({"window": window} if window else {}))
    return content


def again(name, frame=0, window=None):
    """The same file, shown otherwise."""
    content = (OUT / name).read_bytes()
    expect(name, render_dicom(content, frame, window), **({"frame": frame} if frame else {}), **({"window": window} if window else {}))


ct = smooth(12, 14, 0, 2500)
ct_elements = {"RescaleSlope": 1, "RescaleIntercept": -1024, "WindowCenter": [40, 300], "WindowWidth": [400, 1500]}
for syntax, word in ((uid.ExplicitVRLittleEndian, "explicit"), (uid.ImplicitVRLittleEndian, "implicit"), (uid.ExplicitVRBigEndian, "big-endian"), (uid.DeflatedExplicitVRLittleEndian, "deflated")):
    dicom(f"ct-{word}.dcm", dataset(ct, 16, 12, syntax=syntax, **ct_elements))
for window in ((-600, 1500), (400.5, 1800), "minmax", "percentile"):
    again("ct-explicit.dcm", window=window)
whole = (OUT / "ct-explicit.dcm").read_bytes()
bare = whole[132:]
dicom("ct-without-preamble.dcm", bare)
dicom("ct-preamble-of-a-tiff.dcm", b"II*\0\x08\0\0\0" + bytes(120) + bare.join([b"DICM", b""]))
length = struct.unpack("<I", bare[8:12])[0]
explicit_data = bare[12 + length :]
# Without its header a file is taken for what its first element shows.
write("ct-without-header.dcm", explicit_data)
expect("ct-without-header.dcm", render_dicom(whole))
mislabelled = whole.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2\0\0\0")
write("ct-explicit-called-implicit.dcm", mislabelled)
expect("ct-explicit-called-implicit.dcm", render_dicom(whole))

dicom("no-window.dcm", dataset(ct, 16, 12))
dicom("monochrome1.dcm", dataset(ct, 16, 12, photometric="MONOCHROME1", WindowCenter=1000, WindowWidth=1200))
signed = smooth(9, 11, -900, 1900)
dicom("signed.dcm", dataset(signed, 16, 16, signed=True, WindowCenter="40", WindowWidth="1"))
again("signed.dcm", window=(40, 400))
dicom("signed-12-bits-with-noise-above.dcm", dataset((signed & 0xFFF) | (rng.integers(0, 16, signed.shape) << 12), 16, 12, signed=True))
dicom("window-exact.dcm", dataset(ct, 16, 12, WindowCenter=1000, WindowWidth=777, VOILUTFunction="LINEAR_EXACT"))
dicom("window-sigmoid.dcm", dataset(ct, 16, 12, WindowCenter=1000, WindowWidth=777, VOILUTFunction="SIGMOID"))
write("window-of-no-width.dcm", save(dataset(ct, 16, 12, WindowCenter=1000, WindowWidth=0)))
expect("window-of-no-width.dcm", render_dicom(dataset(ct, 16, 12)))
dicom("fractions.dcm", dataset(ct, 16, 12, RescaleSlope="0.00371", RescaleIntercept="-3.7e0", WindowCenter="2.1", WindowWidth="5.5"))
dicom("eight-bit.dcm", dataset(smooth(7, 9, 0, 255), 8, WindowCenter=128, WindowWidth=256))
odd = dataset(np.stack([smooth(5, 3, 0, 255) for _ in range(3)]), 8, syntax=uid.ExplicitVRBigEndian, frames=3)
swapped = np.frombuffer(odd.PixelData, np.uint8)[:45].tobytes() + b"\0"
odd.PixelData = np.frombuffer(swapped, ">u2").astype("<u2").tobytes()
odd["PixelData"].VR = "OW"
dicom("big-endian-bytes-in-words.dcm", odd)
again("big-endian-bytes-in-words.dcm", frame=1)
again("big-endian-bytes-in-words.dcm", frame=2)
fail("big-endian-bytes-in-words.dcm", "no such frame", frame=3)

bits = rng.integers(0, 2, (3, 5, 7))
mask = dataset(bits, 8, frames=3)
mask.BitsAllocated, mask.BitsStored, mask.HighBit = 1, 1, 0
packed = np.packbits(bits.reshape(-1), bitorder="little").tobytes()
mask.PixelData = packed + b"\0" * (len(packed) % 2)
dicom("one-bit.dcm", mask, frame=0)
again("one-bit.dcm", frame=2)
dicom("dose.dcm", dataset(smooth(6, 8, 0, 2**32 - 1), 32))
dicom("signed-32.dcm", dataset(smooth(6, 8, -(2**30), 2**31 - 1), 32, signed=True))
for keyword, kind, bits_allocated in (("FloatPixelData", "f4", 32), ("DoubleFloatPixelData", "f8", 64)):
    parametric = dataset(ct, 32)
    del parametric.PixelData
    parametric.BitsAllocated = bits_allocated
    del parametric.BitsStored, parametric.HighBit, parametric.PixelRepresentation
    values = smooth(6, 8, -1000, 1000) / 7
    parametric.Rows, parametric.Columns = values.shape
    setattr(parametric, keyword, values.astype("<" + kind).tobytes())
    dicom(f"{'float' if kind == 'f4' else 'double'}.dcm", parametric)

# Tables
table = np.round(np.sqrt(np.arange(300) / 299) * 4095).astype(int)


def lut(first, bits, entries, vr):
    item = Dataset()
    item.add_new(0x00283002, "US", [len(entries), first, bits])
    item.add_new(0x00283006, vr, [int(v) for v in entries] if vr == "US" else np.asarray(entries).astype("<u2").tobytes())
    return item


with_table = dataset(ct, 16, 12, WindowCenter=1000, WindowWidth=777)
with_table.VOILUTSequence = Sequence([lut(700, 12, table, "US")])
dicom("voi-table.dcm", with_table)
again("voi-table.dcm", window=(900, 100))
modality = lut(100, 16, np.round((np.arange(2000) / 1999) ** 2 * 60000), "OW")
with_table = dataset(ct, 16, 12, WindowCenter=20000, WindowWidth=30000)
with_table.ModalityLUTSequence = Sequence([modality])
dicom("modality-table.dcm", with_table)
indices = smooth(8, 10, 0, 40)


def palette(bits, first, tables, segmented=False, width=None):
    data = dataset(indices, 8, photometric="PALETTE COLOR")
    count = width or len(tables[0])
    for name, entries in zip(("Red", "Green", "Blue"), tables):
        setattr(data, f"{name}PaletteColorLookupTableDescriptor", [count, first, bits])
        raw = np.asarray(entries).astype("<u2" if bits == 16 else "u1").tobytes()
        setattr(data, f"{'Segmented' if segmented else ''}{name}PaletteColorLookupTableData", raw + b"\0" * (len(raw) % 2))
    return data


dicom("palette-16.dcm", palette(16, 5, rng.integers(0, 65536, (3, 32))))
dicom("palette-8.dcm", palette(8, 0, rng.integers(0, 256, (3, 42))))
segments = [[0, 2, 300, 40000, 1, 18, 65535, 0, 3, 9, 8, 7, 1, 17, 100], [0, 1, 65535, 1, 39, 0], [0, 1, 7, 1, 19, 60000, 1, 20, 60000]]
dicom("palette-segmented.dcm", palette(16, 0, segments, segmented=True, width=40))
# An indirect segment repeats what stood before: here the two entries of the first one, by their byte (pydicom counts words, so by hand).
indirect = [[0, 2, 300, 40000, 2, 1, 0, 0, 0, 36, *range(0, 36000, 1000)]] * 3
write("palette-indirect.dcm", save(palette(16, 0, indirect, segmented=True, width=40)))
entries = np.array([300, 40000, 300, 40000, *range(0, 36000, 1000)])
expect("palette-indirect.dcm", np.repeat((entries[np.clip(indices, 0, 39)] >> 8).astype(np.uint8)[..., None], 3, axis=2))
write("palette-without-end.dcm", save(palette(16, 0, [[0, 1, 5, 2, 65535, 0, 0]] * 3, segmented=True, width=40)))
fail("palette-without-end.dcm", "corrupt")

# Colours
colour = smooth(8, 10, 0, 255, 3)
dicom("rgb.dcm", dataset(colour, 8, photometric="RGB"))
planar = dataset(colour, 8, photometric="RGB")
planar.PlanarConfiguration = 1
planar.PixelData = np.moveaxis(colour, 2, 0).astype(np.uint8).tobytes()
dicom("rgb-planar.dcm", planar)
dicom("rgb-16.dcm", dataset(smooth(8, 10, 0, 4095, 3), 16, 12, photometric="RGB"))
dicom("rgb-32.dcm", dataset(smooth(8, 10, 0, 2**32 - 1, 3), 32, photometric="RGB"))
dicom("ybr-full.dcm", dataset(colour, 8, photometric="YBR_FULL"))
halved = dataset(colour, 8, photometric="YBR_FULL_422")
halved.PixelData = np.stack([colour[:, ::2, 0], colour[:, 1::2, 0], colour[:, ::2, 1], colour[:, ::2, 2]], axis=2).astype(np.uint8).tobytes()
dicom("ybr-full-422.dcm", halved)
every = np.stack(np.meshgrid([0, 17, 128, 255], np.arange(0, 256, 5), [0, 3, 127, 128, 129, 254, 255], indexing="ij"), axis=3).reshape(4 * 52, 7, 3)
dicom("ybr-everywhere.dcm", dataset(every, 8, photometric="YBR_FULL"))

# Frames and run lengths
video = np.stack([smooth(6, 8, 0, 4095) for _ in range(3)])
dicom("frames.dcm", dataset(video, 16, 12, frames=3))
again("frames.dcm", frame=2)
for data, name in ((dataset(video, 16, 12, frames=3), "rle-frames.dcm"), (dataset(colour, 8, photometric="RGB"), "rle-rgb.dcm"), (dataset(np.zeros((40, 30), int), 16), "rle-flat.dcm")):
    shown = render_dicom(save(data))
    data.compress(uid.RLELossless, generate_instance_uid=False)
    dicom(name, data)
    assert (shown == render_dicom(save(data))).all()


def literal_runs(segment):
    parts = [segment[i : i + 128] for i in range(0, len(segment), 128)]
    packed = b"".join(bytes([len(part) - 1]) + part for part in parts)
    return packed + b"\0" * (len(packed) % 2)


wide = smooth(6, 8, 0, 2**32 - 1)  # pydicom writes no runs of 32 bits
segments = [literal_runs(wide.astype(">u4").view(np.uint8).reshape(-1, 4)[:, i].tobytes()) for i in range(4)]
offsets = np.cumsum([64] + [len(segment) for segment in segments])[:-1]
data = dataset(wide, 32)
shown = render_dicom(save(data))
data.file_meta.TransferSyntaxUID = uid.RLELossless
data.PixelData = encapsulate([struct.pack("<16I", 4, *offsets, *[0] * 11) + b"".join(segments)])
data["PixelData"].is_undefined_length = True
dicom("rle-32.dcm", data)
assert (shown == render_dicom(save(data))).all()
again("rle-frames.dcm", frame=1)
again("rle-frames.dcm", frame=2)

# Enhanced files: each frame has its own rescaling and window
enhanced = dataset(video, 16, 12, frames=3)
shared, pixel_transform = Dataset(), Dataset()
pixel_transform.RescaleIntercept, pixel_transform.RescaleSlope = -1000, 2
shared.PixelValueTransformationSequence = Sequence([pixel_transform])
enhanced.SharedFunctionalGroupsSequence = Sequence([shared])
groups = []
for k in range(3):
    group, voi = Dataset(), Dataset()
    voi.WindowCenter, voi.WindowWidth = 100 * k, 2000 + k
    group.FrameVOILUTSequence = Sequence([voi])
    group.FrameContentSequence = Sequence([Dataset()])
    groups.append(group)
enhanced.PerFrameFunctionalGroupsSequence = Sequence(groups)
for name, undefined in (("enhanced.dcm", False), ("enhanced-undefined-lengths.dcm", True)):
    for sequence in (enhanced["SharedFunctionalGroupsSequence"], enhanced["PerFrameFunctionalGroupsSequence"]):
        sequence.is_undefined_length = undefined
        for item in sequence.value:
            item.is_undefined_length_sequence_item = undefined
    dicom(name, enhanced)
    again(name, frame=1)
    again(name, frame=2)

# JPEG
JPEG = uid.JPEGBaseline8Bit


def jpeg(array, **options):
    stream = io.BytesIO()
    Image.fromarray(array.astype(np.uint8)).save(stream, "JPEG", **options)
    return stream.getvalue()


def compressed(data, syntax, frames, table=True):
    data.file_meta.TransferSyntaxUID = syntax
    data.PixelData = encapsulate(frames, has_bot=table)
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    return data


grey8 = smooth(17, 19, 0, 255)
dicom("jpeg-grey.dcm", compressed(dataset(grey8, 8), JPEG, [jpeg(grey8, quality=90)]))
big = smooth(17, 19, 0, 255, 3)
dicom("jpeg-422.dcm", compressed(dataset(big, 8, photometric="YBR_FULL_422"), JPEG, [jpeg(big, quality=90, subsampling=1)]))
dicom("jpeg-420.dcm", compressed(dataset(big, 8, photometric="YBR_FULL_422"), JPEG, [jpeg(big, quality=90, subsampling=2)]))
dicom("jpeg-called-rgb.dcm", compressed(dataset(big, 8, photometric="RGB"), JPEG, [jpeg(big, quality=90)]))
dicom("jpeg-rgb-inside.dcm", compressed(dataset(big, 8, photometric="RGB"), JPEG, [jpeg(big, quality=90, keep_rgb=True)]))
plain = jpeg(big, quality=90, subsampling=0)
dicom("jpeg-without-jfif.dcm", compressed(dataset(big, 8, photometric="YBR_FULL"), JPEG, [plain[:2] + plain[20:]]))
progressive = jpeg(grey8, quality=90, progressive=True)
write("jpeg-progressive.dcm", save(compressed(dataset(grey8, 8), "1.2.840.10008.1.2.4.55", [progressive])))
expect("jpeg-progressive.dcm", render_dicom(dataset(np.asarray(Image.open(io.BytesIO(progressive))), 8)))
video8 = [smooth(17, 19, 0, 255) for _ in range(3)]
parts = [jpeg(frame, quality=80) for frame in video8]
dicom("jpeg-frames.dcm", compressed(dataset(np.stack(video8), 8, frames=3), JPEG, parts))
again("jpeg-frames.dcm", frame=1)
again("jpeg-frames.dcm", frame=2)
halves = []
for part in parts:
    part += b"\0" * (len(part) % 2)
    halves += [part[:300], part[300:]]
for name, table in (("jpeg-fragments-table.dcm", True), ("jpeg-fragments.dcm", False)):
    data = dataset(np.stack(video8), 8, frames=3)
    data.file_meta.TransferSyntaxUID = JPEG
    offsets = np.cumsum([0] + [8 + len(half) for half in halves])[:-1:2]
    raw = struct.pack("<HHI", 0xFFFE, 0xE000, 12) + struct.pack("<3I", *offsets) if table else struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    data.PixelData = raw + b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(half)) + half for half in halves)
    data["PixelData"].is_undefined_length = True
    dicom(name, data)
    again(name, frame=1)
    again(name, frame=2)
data = dataset(np.stack(video8), 8, frames=3)
data.file_meta.TransferSyntaxUID = JPEG
data.PixelData, data.ExtendedOffsetTable, data.ExtendedOffsetTableLengths = encapsulate_extended(parts)
data["PixelData"].is_undefined_length = True
dicom("jpeg-extended-table.dcm", data, frame=1)


def by_gdcm(data, syntax):
    """The codestream that GDCM makes of a data set's one frame."""
    with tempfile.TemporaryDirectory() as folder:
        source = str(pathlib.Path(folder) / "a.dcm")
        pathlib.Path(source).write_bytes(save(data))
        reader = gdcm.ImageReader()
        reader.SetFileName(source)
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
        change.SetInput(reader.GetImage())
        assert change.Change(), (syntax, data.BitsAllocated, data.BitsStored)
        writer = gdcm.ImageWriter()
        target = str(pathlib.Path(folder) / "b.dcm")
        writer.SetFileName(target)
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return next(pydicom.encaps.generate_frames(pydicom.dcmread(target).PixelData, number_of_frames=1))


deep = smooth(9, 11, 0, 65535)
even8, even = smooth(16, 18, 0, 255), smooth(16, 18, 0, 255, 3)  # GDCM writes no JPEG of an odd number of bytes
for name, syntax, number, make in (
    ("lossless-8", gdcm.TransferSyntax.JPEGLosslessProcess14_1, uid.JPEGLosslessSV1, lambda: dataset(even8, 8)),
    ("lossless-12", gdcm.TransferSyntax.JPEGLosslessProcess14_1, uid.JPEGLosslessSV1, lambda: dataset(ct, 16, 12, **ct_elements)),
    ("lossless-16", gdcm.TransferSyntax.JPEGLosslessProcess14, uid.JPEGLossless, lambda: dataset(deep, 16)),
    ("lossless-signed", gdcm.TransferSyntax.JPEGLosslessProcess14_1, uid.JPEGLosslessSV1, lambda: dataset(signed, 16, 16, signed=True)),
    ("lossless-rgb", gdcm.TransferSyntax.JPEGLosslessProcess14_1, uid.JPEGLosslessSV1, lambda: dataset(even, 8, photometric="RGB")),
    ("jpeg-ls-8", gdcm.TransferSyntax.JPEGLSLossless, uid.JPEGLSLossless, lambda: dataset(even8, 8)),
    ("jpeg-ls-12", gdcm.TransferSyntax.JPEGLSLossless, uid.JPEGLSLossless, lambda: dataset(ct, 16, 12, **ct_elements)),
    ("jpeg-ls-16", gdcm.TransferSyntax.JPEGLSLossless, uid.JPEGLSLossless, lambda: dataset(deep, 16)),
    ("jpeg-ls-signed", gdcm.TransferSyntax.JPEGLSLossless, uid.JPEGLSLossless, lambda: dataset(signed, 16, 16, signed=True)),
    ("jpeg-ls-rgb", gdcm.TransferSyntax.JPEGLSLossless, uid.JPEGLSLossless, lambda: dataset(even, 8, photometric="RGB")),
    ("jpeg2000-12", gdcm.TransferSyntax.JPEG2000Lossless, uid.JPEG2000Lossless, lambda: dataset(ct, 16, 12, **ct_elements)),
    ("jpeg2000-signed", gdcm.TransferSyntax.JPEG2000Lossless, uid.JPEG2000Lossless, lambda: dataset(signed, 16, 16, signed=True)),
    ("jpeg2000-rgb", gdcm.TransferSyntax.JPEG2000Lossless, uid.JPEG2000Lossless, lambda: dataset(even, 8, photometric="RGB")),
):  # fmt: skip
    shown = render_dicom(save(make()))
    dicom(f"{name}.dcm", compressed(make(), number, [by_gdcm(make(), syntax)]), rgb=shown)  # lossless: what went in
# 12 bits with losses, as dcmcjpeg of DCMTK wrote them. Expected is what GDCM decodes; libjpeg (Thomas Richter's) rounds otherwise here and there.
twelve = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGBYUGBIUFRT/wQALDAAQABABAREA/8QA"
    "FgABAQEAAAAAAAAAAAAAAAAACwoM/8QAIRAAAgIBBQADAQAAAAAAAAAAAgMBBAUGBwgJCgsRExT/2gAIAQEAAD8AAH8/Xur4wdTfShtpw51hiKCtQFhq+KcFpdL+y/amhYAAFf7i5ije"
    "LJkpIBkUjECJjMmR171vKduf6xufu6nI7ZXaKxnaNrIMvIuUa1BtSpVKiDVELVn+ctlcOfIpCCkoEhKPowKTr1o9r3L3YT0f6P21253OzNfSC9Uwk61F1KaNOnNVi2CSpCFy2VQlEE44"
    "KSghIY+gMtFh8Thwz4tc+ej7UWseTOtsfldRXMIxgrytqky5kLZY+vLCJhohzFG8VxAwIDIpKZITGIP/2Q=="
)
data = compressed(dataset(np.zeros((16, 16), int), 16, 12, **ct_elements), uid.JPEGExtended12Bit, [twelve])
assert abs(twelve_bits(data, 0).astype(int) - libjpeg.decode(twelve)).max() <= 1
dicom("jpeg-12.dcm", data)
near = compressed(dataset(even8, 8), uid.JPEGLSNearLossless, [by_gdcm(dataset(even8, 8), gdcm.TransferSyntax.JPEGLSNearLossless)])
dicom("jpeg-ls-near.dcm", near)
# Signed samples in a codestream that calls them unsigned: the file is right.
unsigned_stream = by_gdcm(dataset(signed & 0xFFF, 16, 12), gdcm.TransferSyntax.JPEG2000Lossless)
dicom("jpeg2000-sign-in-file-only.dcm", compressed(dataset(signed & 0xFFF, 16, 12, signed=True), uid.JPEG2000Lossless, [unsigned_stream]))

# What cannot be used
fail_bytes = lambda name, data, fault, **options: (write(name, data), fail(name, fault, **options))  # noqa: E731
fail_bytes("bad-truncated.dcm", whole[:-20], "truncated")
fail_bytes("bad-cut-in-header.dcm", whole[:200], "truncated")
fail_bytes("bad-cut-in-elements.dcm", whole[: len(whole) - 400], "truncated")
fail_bytes("bad-rle-cut.dcm", (OUT / "rle-rgb.dcm").read_bytes()[:-60], "truncated")
fail_bytes("bad-jpeg-cut.dcm", (OUT / "jpeg-grey.dcm").read_bytes()[:-60], "truncated")
fail_bytes("bad-lossless-cut.dcm", save(compressed(dataset(even8, 8), uid.JPEGLosslessSV1, [by_gdcm(dataset(even8, 8), gdcm.TransferSyntax.JPEGLosslessProcess14_1)[:200]])), "truncated")
fail_bytes("bad-jpeg-ls-cut.dcm", save(compressed(dataset(even8, 8), uid.JPEGLSLossless, [by_gdcm(dataset(even8, 8), gdcm.TransferSyntax.JPEGLSLossless)[:200]])), "truncated")
fail_bytes("bad-jpeg-of-other-size.dcm", save(compressed(dataset(grey8[:10], 8), JPEG, [jpeg(grey8)])), "corrupt")
no_pixels = dataset(ct)
del no_pixels.PixelData
fail_bytes("bad-no-pixels.dcm", save(no_pixels), "unsupported")
fail_bytes("bad-syntax.dcm", save(compressed(dataset(grey8, 8), uid.MPEG2MPML, [b"\0" * 64])), "unsupported")
fail_bytes("bad-vendor-syntax.dcm", (OUT / "jpeg-grey.dcm").read_bytes().replace(b"1.2.840.10008.1.2.4.50", b"1.2.999.77.1.2.3.4.5.6"), "unsupported")
too_large = dataset(ct)
too_large.Rows = too_large.Columns = 65535
fail_bytes("bad-too-large.dcm", save(too_large), "too large")
huge = dataset(ct)
huge.Rows = huge.Columns = 9000
fail_bytes("bad-fewer-pixels-than-claimed.dcm", save(huge), "truncated")
retired = dataset(np.zeros((4, 4, 3), int), 8, photometric="HSV")
fail_bytes("bad-colour-space.dcm", save(retired), "unsupported")
broken = dataset(ct)
broken.BitsStored = 40
fail_bytes("bad-bits.dcm", save(broken), "corrupt")
nested = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" * 60
fail_bytes("bad-nested.dcm", whole[:132] + whole[132 : 132 + 12 + length] + nested, "corrupt")

# ---- NIfTI

volume = np.rint(rng.normal(100, 40, (5, 6, 7)) + 40 * np.arange(7)).astype(np.int16)
RAS = np.diag([2.0, 2, 3, 1])


def affine(order, signs, zooms=(1.0, 1.5, 2.0), shear=0.0):
    """Voxel axis i runs along patient axis order[i], forwards or backwards."""
    m = np.zeros((4, 4))
    m[3, 3] = 1
    for i in range(3):
        m[order[i], i] = signs[i] * zooms[i]
    turn = np.eye(4)
    c, s = np.cos(shear), np.sin(shear)
    turn[:2, :2] = [[c, -s], [s, c]]
    tilt = np.eye(4)
    tilt[1:3, 1:3] = [[c, -s], [s, c]]
    return turn @ tilt @ m


def nifti(name, image, views=({},), compress=False):
    raw = image if isinstance(image, bytes) else image.to_bytes()
    loaded = (nibabel.Nifti2Image if raw[:4] in (b"\x1c\x02\0\0", b"\0\0\x02\x1c") else nibabel.Nifti1Image).from_bytes(raw)
    write(name, gzip.compress(raw, mtime=0) if name.endswith(".gz") else raw)
    for view in views:
        expect(name, render_nifti(loaded, **view), **view)


def image_of(data, matrix=RAS, kind=nibabel.Nifti1Image, order="<", **header):
    head = kind.header_class(endianness=order)
    head.set_data_dtype(data.dtype)
    image = kind(data, matrix, head)
    for name, value in header.items():
        image.header[name] = value
    return image


VIEWS = [{"plane": plane} for plane in ("axial", "coronal", "sagittal")]
ENDS = [{"plane": plane, "slice": s} for plane, s in (("axial", 0), ("axial", 6), ("coronal", 0), ("coronal", 5), ("sagittal", 0), ("sagittal", 4))]
WINDOWS = [{"window": window} for window in ((150, 200), "minmax", "percentile")]
nifti("ras.nii", image_of(volume), VIEWS + ENDS + WINDOWS)
nifti("ras.nii.gz", image_of(volume), VIEWS + ENDS)
nifti("las.nii", image_of(volume, affine((0, 1, 2), (-1, 1, 1))), VIEWS)
nifti("lps.nii.gz", image_of(volume, affine((0, 1, 2), (-1, -1, 1))), VIEWS)
nifti("axes-turned.nii.gz", image_of(volume, affine((2, 0, 1), (-1, 1, -1))), VIEWS + [{"plane": "axial", "slice": 4}, {"plane": "coronal", "slice": 6}])
nifti("axes-turned-otherwise.nii", image_of(volume, affine((1, 2, 0), (1, -1, 1))), VIEWS)
nifti("oblique.nii", image_of(volume, affine((0, 2, 1), (1, -1, 1), shear=0.6)), VIEWS)
nifti("near-45-degrees.nii", image_of(volume, affine((0, 1, 2), (1, 1, 1), shear=0.79)), VIEWS)
for sform, qform, name in ((0, 1, "qform.nii"), (0, 0, "no-form.nii"), (2, 1, "both-forms.nii")):
    image = image_of(volume)
    image.set_qform(affine((1, 0, 2), (1, -1, -1), shear=0.2), code=qform)
    image.set_sform(affine((0, 2, 1), (1, 1, -1)), code=sform)
    image.header["qform_code"], image.header["sform_code"] = qform, sform
    raw = image.header.binaryblock + b"\0" * 4 + volume.tobytes(order="F")
    raw = bytearray(raw)
    raw[108:112] = struct.pack("<f", 352)
    nifti(name, bytes(raw), VIEWS)
for number, dtype in enumerate(("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")):
    low = np.iinfo(dtype).min if dtype[0] in "iu" else -1e3
    high = np.iinfo(dtype).max if dtype[0] in "iu" else 1e3
    data = (low / 2 + (volume - volume.min()) / (volume.max() - volume.min()) * (high / 2 - low / 2)).astype(dtype)
    for order, word in (("<", "little"), (">", "big")):
        kind = nibabel.Nifti2Image if (number + (order == ">")) % 2 else nibabel.Nifti1Image
        nifti(f"{dtype}-{word}.nii", image_of(data[:3, :4, :3], kind=kind, order=order))
raw = bytearray(image_of(volume).to_bytes())
raw[112:120] = struct.pack("<ff", 0.37, -31.5)
nifti("scaled.nii", bytes(raw), [{}, {"window": (0, 50)}])
raw[112:120] = struct.pack("<ff", float("nan"), 3)
nifti("slope-is-no-number.nii", bytes(raw))
raw[112:120] = struct.pack("<ff", 2, float("nan"))
fail_bytes("bad-intercept.nii", bytes(raw), "corrupt")
raw = bytearray(image_of(volume).to_bytes())
raw[124:132] = struct.pack("<ff", 220, 60)
nifti("display-range.nii", bytes(raw), [{}, {"window": "minmax"}])
holes = volume.astype(np.float32)
holes[0, 0, :], holes[1, 1, :], holes[2, 2, :] = np.nan, np.inf, -np.inf
nifti("not-finite.nii", image_of(holes), [{}, {"window": "percentile"}, {"window": (100, 50)}])
nifti("time.nii.gz", image_of(np.stack([volume[:3, :4], volume[1:4, 1:5], volume[2:, 2:]], axis=3)), [{"volume": k} for k in range(3)])
nifti("vectors.nii", image_of(rng.normal(0, 1, (3, 4, 2, 2, 3)).astype(np.float32)), [{"volume": k} for k in (0, 3, 5)])
nifti("one-slice.nii", image_of(volume[:, :, 0]))
rgb = np.zeros((4, 5, 3), [("R", "u1"), ("G", "u1"), ("B", "u1")])
rgba = np.zeros((4, 5, 3), [("R", "u1"), ("G", "u1"), ("B", "u1"), ("A", "u1")])
for array in (rgb, rgba):
    for field in array.dtype.names:
        array[field] = rng.integers(0, 256, array.shape)
nifti("rgb.nii", image_of(rgb), VIEWS)
nifti("rgba.nii", image_of(rgba))

fail("ras.nii", "no such slice", slice=7)
fail("ras.nii", "no such volume", volume=1)
good = image_of(volume).to_bytes()
fail_bytes("bad-cut.nii", good[:-10], "truncated")
fail_bytes("bad-cut.nii.gz", gzip.compress(good, mtime=0)[:250], "truncated")
fail_bytes("bad-header-alone.nii", good[:348], "truncated")
fail_bytes("bad-pair.hdr", good[:344] + b"ni1\0", "unsupported")
fail_bytes("bad-gzip-of-text.gz", gzip.compress(b"no volume", mtime=0), "unsupported")


def patched(at, data, source=good):
    return source[:at] + data + source[at + len(data) :]


fail_bytes("bad-complex.nii", patched(70, struct.pack("<h", 32)), "unsupported")
fail_bytes("bad-dimension.nii", patched(42, struct.pack("<h", -3)), "corrupt")
fail_bytes("bad-dimensions.nii", patched(40, struct.pack("<h", 9)), "corrupt")
fail_bytes("bad-offset.nii", patched(108, struct.pack("<f", 100)), "corrupt")
fail_bytes("bad-too-large.nii", patched(42, struct.pack("<hh", 32767, 32767)), "too large")
fail_bytes("bad-affine.nii", patched(280, struct.pack("<f", float("nan"))), "corrupt")
fail_bytes("bad-bomb.nii.gz", gzip.compress(patched(42, struct.pack("<hhh", 10000, 10000, 10000)) + bytes(300000), mtime=0), "truncated")

# ---- JPEG 2000


def jpeg2000(image, **options):
    stream = io.BytesIO()
    image.save(stream, "JPEG2000", **options)
    return stream.getvalue()


def by_pillow(name, data):
    write(name, data)
    image = Image.open(io.BytesIO(data))
    if image.mode.startswith("I;16"):
        grey = (np.asarray(image).astype(np.int64) >> 8).astype(np.uint8)
        expect(name, np.repeat(grey[..., None], 3, axis=2), sixteen_bit=True)
    else:
        expect(name, np.asarray(image.convert("RGB")))


rgb8 = Image.fromarray(smooth(23, 31, 0, 255, 3).astype(np.uint8))
grey = Image.fromarray(smooth(23, 31, 0, 255).astype(np.uint8))
by_pillow("rgb.jp2", jpeg2000(rgb8))
by_pillow("rgb.j2k", jpeg2000(rgb8, no_jp2=True))
by_pillow("rgb-lossy.jp2", jpeg2000(rgb8, irreversible=True, quality_layers=[20]))
by_pillow("rgb-tiles.jp2", jpeg2000(rgb8, tile_size=(16, 16), offset=(0, 0)))
by_pillow("rgb-component-transform.j2k", jpeg2000(rgb8, no_jp2=True, mct=1, num_resolutions=3, progression="RPCL"))
by_pillow("rgb-precincts.jp2", jpeg2000(rgb8, precinct_size=(16, 16), codeblock_size=(8, 8)))
by_pillow("rgb-offset.jp2", jpeg2000(rgb8, offset=(3, 5), tile_size=(64, 64), tile_offset=(0, 0)))
by_pillow("rgb-layers.jp2", jpeg2000(rgb8, quality_layers=[40, 10, 1]))
by_pillow("grey.jp2", jpeg2000(grey))
by_pillow("grey.j2k", jpeg2000(grey, no_jp2=True))
by_pillow("grey-signed.j2k", jpeg2000(grey, no_jp2=True, signed=True))
by_pillow("rgba.jp2", jpeg2000(Image.fromarray(smooth(9, 11, 0, 255, 4).astype(np.uint8), "RGBA")))
by_pillow("grey-alpha.jp2", jpeg2000(rgb8.convert("LA")))
sixteen = Image.fromarray(smooth(23, 31, 0, 65535).astype(np.uint16))
by_pillow("grey-16.jp2", jpeg2000(sixteen))
by_pillow("grey-16.j2k", jpeg2000(sixteen, no_jp2=True))
by_pillow("sycc.jp2", jpeg2000(rgb8).replace(b"colr\1\0\0\0\0\0\x10", b"colr\1\0\0\0\0\0\x12"))
colours = rng.permutation(256 * 3).reshape(256, 3) % 256
palette_box = struct.pack(">HB", 256, 3) + b"\7\7\7" + colours.astype(np.uint8).tobytes()
map_box = b"".join(struct.pack(">HBB", 0, 1, c) for c in range(3))
plain_grey = jpeg2000(grey)
header = plain_grey.index(b"jp2h") - 4
header_length = struct.unpack(">I", plain_grey[header : header + 4])[0]
boxes = plain_grey[header + 8 : header + header_length].replace(b"colr\1\0\0\0\0\0\x11", b"colr\1\0\0\0\0\0\x10")
boxes += struct.pack(">I", 8 + len(palette_box)) + b"pclr" + palette_box + struct.pack(">I", 8 + len(map_box)) + b"cmap" + map_box
write("palette.jp2", plain_grey[:header] + struct.pack(">I", 8 + len(boxes)) + b"jp2h" + boxes + plain_grey[header + header_length :])
expect("palette.jp2", colours.astype(np.uint8)[np.asarray(grey)])
# Colours at half resolution, as opj_compress wrote them (4:2:0 of 12 x 10 pixels); Pillow refuses these.
halved = base64.b64decode(
    "/0//UQAvAAAAAAAMAAAACgAAAAAAAAAAAAAADAAAAAoAAAAAAAAAAAADBwEBBwICBwIC/1IADAAAAAEAAQQEAAH/XAAHQEBISFD/ZAAlAAFDcmVhdGVkIGJ5IE9wZW5KUEVHIHZlcnNp"
    "b24gMi41LjD/kAAKAAAAAAB1AAH/k9+A6BIc9YVip0+bLkNozHhIwT1yiv8ImwNLv3k+ewo/z7QoBpcFfFmpElkG49+AUA5MEXMZgqAFZU/A+QJA+QIALF+JfzB0cDHB84QAFZKdv8Pq"
    "B4fUCR+AEAqLmC3T/HsL+TsfC5j/2Q=="
)
y, x = np.mgrid[0:10, 0:12]
planes = (x * 9 + y * 13) % 256, (60 + x // 2 * 20 + y // 2 * 7) % 256, (200 - x // 2 * 11 + y // 2 * 19) % 256
write("halved-colours.j2k", halved)
expect("halved-colours.j2k", np.stack(planes, axis=2).astype(np.uint8))
good = jpeg2000(rgb8, no_jp2=True)
fail_bytes("bad-cut.j2k", good[:-300], "truncated")
fail_bytes("bad-cut-in-header.j2k", good[:30], "truncated")
fail_bytes("bad-cut.jp2", jpeg2000(rgb8)[:60], "truncated")
fail_bytes("bad-sizes.j2k", patched(8, struct.pack(">II", 0, 0), good), "corrupt")
fail_bytes("bad-too-large.j2k", patched(8, struct.pack(">II", 60000, 60000), good), "too large")
fail_bytes("bad-tiles.j2k", patched(24, struct.pack(">II", 1, 1), good), "truncated")
at = good.index(b"\xff\x52")
tiny = bytearray(patched(8, struct.pack(">II", 13000, 13000), patched(24, struct.pack(">II", 13000, 13000), good)))
tiny[at + 10], tiny[at + 11] = 0, 0
fail_bytes("bad-code-blocks.j2k", bytes(tiny), "truncated")
fail_bytes("bad-components.j2k", patched(40, struct.pack(">H", 300), good), "corrupt")

(OUT / "goldens.json").write_text(json.dumps({"cases": cases}, indent=0) + "\n")
print(len(cases), "cases,", sum(file.stat().st_size for file in OUT.iterdir()) // 1024, "KiB")
