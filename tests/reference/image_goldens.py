"""Writes tests/data/image: awkward image files, what Pillow makes of them, and what its resize, transformers' CLIP
processor and open_clip's transform give.

Made with Python 3.11, Pillow 13.0 (libjpeg-turbo 3.2), numpy, transformers 5.17 (CLIPImageProcessorPil), open_clip 3.3.
Run: python image_goldens.py [tests/data/image]
"""

import hashlib
import io
import json
import pathlib
import struct
import sys
import zlib

import numpy as np
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "data/image")
rng = np.random.default_rng(20)
files = []  # (name, bytes, expected fault or None)


def add(name, data, fault=None):
    files.append((name, bytes(data), fault))


# ---- PNG, written by hand: Pillow writes few of the kinds


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pack_row(samples, depth):
    if depth == 16:
        return samples.astype(">u2").tobytes()
    if depth == 8:
        return samples.astype(np.uint8).tobytes()
    bits = np.unpackbits(samples.astype(np.uint8).reshape(-1, 1), axis=1)[:, 8 - depth :].reshape(-1)
    return np.packbits(bits).tobytes()


def filtered(rows, bpp):
    """Each row with the next of the five filters."""
    out, previous = b"", None
    for i, row in enumerate(rows):
        kind = i % 5
        row = np.frombuffer(row, np.uint8).astype(int)
        up = previous if previous is not None else np.zeros_like(row)
        left = np.concatenate([np.zeros(bpp, int), row[:-bpp]])[: len(row)]
        corner = np.concatenate([np.zeros(bpp, int), up[:-bpp]])[: len(row)]
        p = left + up - corner
        pa, pb, pc = abs(p - left), abs(p - up), abs(p - corner)
        paeth = np.where((pa <= pb) & (pa <= pc), left, np.where(pb <= pc, up, corner))
        predicted = [np.zeros_like(row), left, up, (left + up) // 2, paeth][kind]
        out += bytes([kind]) + ((row - predicted) % 256).astype(np.uint8).tobytes()
        previous = row
    return out


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png(samples, colour, depth, interlaced=False, before=b"", after=b"", idat_size=None, compress=None):
    """`samples`: [height, width, channels] of the file's own values."""
    h, w, channels = samples.shape
    bpp = max(1, channels * depth // 8)
    data = b""
    for x0, y0, dx, dy in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        part = samples[y0::dy, x0::dx]
        if part.size:
            data += filtered([pack_row(row.reshape(-1), depth) for row in part], bpp)
    packed = zlib.compress(data) if compress is None else compress(data)
    size = idat_size or max(len(packed), 1)
    idat = b"".join(chunk(b"IDAT", packed[i : i + size]) for i in range(0, len(packed), size))
    header = struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, int(interlaced))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + idat + after + chunk(b"IEND", b"")


def smooth(h, w, channels, limit):
    y, x = np.mgrid[0:h, 0:w]
    planes = [(np.sin(x / (3 + c) + c) + np.cos(y / (4 - c / 2))) * limit / 4 + limit / 2 for c in range(channels)]
    image = np.stack(planes, axis=2) + rng.normal(0, limit / 20, (h, w, channels))
    return np.clip(np.rint(image), 0, limit).astype(np.int64)


palette = rng.integers(0, 256, (256, 3), dtype=np.uint8)
KINDS = [("grey", 0, 1, [1, 2, 4, 8]), ("rgb", 2, 3, [8, 16]), ("palette", 3, 1, [1, 2, 4, 8]), ("grey-alpha", 4, 2, [8, 16]), ("rgba", 6, 4, [8, 16])]
for kind, colour, channels, depths in KINDS:
    for depth in depths:
        plte = chunk(b"PLTE", palette[: 2**depth].tobytes()) if colour == 3 else b""
        for interlaced in (False, True):
            samples = smooth(11, 13, channels, 2**depth - 1)
            add(f"png-{kind}-{depth}{'-interlaced' if interlaced else ''}.png", png(samples, colour, depth, interlaced, plte))
add("png-1x1-interlaced.png", png(smooth(1, 1, 3, 255), 2, 8, True))
add("png-3x2-interlaced.png", png(smooth(2, 3, 3, 255), 2, 8, True))
add("png-1-bit-row-of-9.png", png(smooth(1, 9, 1, 1), 0, 1))
add("png-tall.png", png(smooth(90, 1, 3, 255), 2, 8))
add("png-grey-trns.png", png(smooth(9, 9, 1, 255), 0, 8, before=chunk(b"tRNS", b"\0\x80")))
add("png-grey-1-trns.png", png(smooth(9, 9, 1, 1), 0, 1, before=chunk(b"tRNS", b"\0\1")))
add("png-rgb-trns.png", png(smooth(9, 9, 3, 255), 2, 8, before=chunk(b"tRNS", b"\0\x80\0\x80\0\x80")))
plte8 = chunk(b"PLTE", palette.tobytes())
add("png-palette-trns.png", png(smooth(9, 9, 1, 255), 3, 8, before=plte8 + chunk(b"tRNS", bytes(range(0, 250, 5)))))
add("png-palette-too-short.png", png(smooth(9, 9, 1, 255), 3, 8, before=chunk(b"PLTE", palette[:17].tobytes())))
add("png-rgb-suggested-palette.png", png(smooth(9, 9, 3, 255), 2, 8, before=plte8))
add("png-gamma.png", png(smooth(9, 9, 3, 255), 2, 8, before=chunk(b"gAMA", struct.pack(">I", 100000)) + chunk(b"cHRM", struct.pack(">8I", *[31270] * 8))))
add("png-gamma-16.png", png(smooth(9, 9, 3, 65535), 2, 16, before=chunk(b"gAMA", struct.pack(">I", 22000))))
add("png-sbit.png", png(smooth(9, 9, 3, 255), 2, 8, before=chunk(b"sBIT", b"\5\6\5")))
add("png-background.png", png(smooth(9, 9, 4, 255), 6, 8, before=chunk(b"bKGD", b"\0\xff\0\0\0\0")))
add("png-many-idat.png", png(smooth(9, 9, 3, 255), 2, 8, idat_size=7))
add("png-text-and-time.png", png(smooth(9, 9, 3, 255), 2, 8, before=chunk(b"tEXt", b"Title\0x"), after=chunk(b"tIME", b"\x07\xe8\1\1\0\0\0")))
add("png-stored.png", png(smooth(9, 9, 3, 255), 2, 8, compress=lambda d: zlib.compress(d, 0)))
whole = png(smooth(9, 9, 3, 255), 2, 8)
add("png-trailing-bytes.png", whole + b"trailing bytes")
add("png-without-iend.png", whole[:-12])
apng = chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 9, 9, 0, 0, 1, 10, 0, 0))
second = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 1, 9, 9, 0, 0, 1, 10, 0, 0)) + chunk(b"fdAT", struct.pack(">I", 2) + zlib.compress(bytes(28 * 9)))
add("png-animated.png", png(smooth(9, 9, 3, 255), 2, 8, before=apng, after=second))
add("png-cut-in-data.png", whole[: len(whole) // 2], "truncated")
add("png-cut-in-header.png", whole[:20], "truncated")
add("png-cut-in-signature.png", whole[:6], "truncated")
add("png-bad-filter.png", png(smooth(2, 9, 3, 255), 2, 8, compress=lambda d: zlib.compress(b"\x09" + d[1:])), "corrupt")
add("png-broken-deflate.png", png(smooth(9, 9, 3, 255), 2, 8, compress=lambda d: b"\x78\x9c" + bytes(range(200))), "corrupt")
add("png-too-little-data.png", png(smooth(9, 9, 3, 255), 2, 8, compress=lambda d: zlib.compress(d[:100])), "corrupt")
add("png-zero-width.png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 5, 8, 2, 0, 0, 0)), "corrupt")
for name, size, fault in (("too-large", (65535, 65535), "too large"), ("empty-giant", (13000, 13000), "truncated")):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0))
    add(f"png-{name}.png", b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b""), fault)

# 16-bit grey: Pillow clips at 255; the high byte is what is wanted.
sixteen = {}
for interlaced in (False, True):
    samples = smooth(11, 13, 1, 65535)
    name = f"png-grey-16{'-interlaced' if interlaced else ''}.png"
    add(name, png(samples, 0, 16, interlaced))
    sixteen[name] = np.repeat((samples >> 8).astype(np.uint8), 3, axis=2)

# ---- JPEG


def jpeg(array, mode=None, **options):
    image = Image.fromarray(array.astype(np.uint8)[..., 0] if array.shape[2] == 1 else array.astype(np.uint8), mode)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return bytearray(buffer.getvalue())


for name, subsampling in (("444", 0), ("422", 1), ("420", 2)):
    for progressive in (False, True):
        suffix = "-progressive" if progressive else ""
        add(f"jpeg-{name}{suffix}.jpg", jpeg(smooth(37, 29, 3, 255), quality=85, subsampling=subsampling, progressive=progressive))
add("jpeg-quality-1.jpg", jpeg(smooth(20, 33, 3, 255), quality=1))
add("jpeg-quality-100.jpg", jpeg(smooth(20, 33, 3, 255), quality=100, subsampling=0))
add("jpeg-grey.jpg", jpeg(smooth(19, 23, 1, 255), quality=80))
add("jpeg-grey-progressive.jpg", jpeg(smooth(19, 23, 1, 255), quality=80, progressive=True))
add("jpeg-1x1.jpg", jpeg(smooth(1, 1, 3, 255)))
add("jpeg-1x40.jpg", jpeg(smooth(40, 1, 3, 255)))
add("jpeg-restart.jpg", jpeg(smooth(40, 40, 3, 255), restart_marker_blocks=2))
add("jpeg-optimised.jpg", jpeg(smooth(40, 40, 3, 255), optimize=True))
add("jpeg-rgb-inside.jpg", jpeg(smooth(16, 16, 3, 255), keep_rgb=True))
exif = Image.Exif()
exif[0x0112] = 6
add("jpeg-exif-rotated.jpg", jpeg(smooth(10, 24, 3, 255), exif=exif))
add("jpeg-comment.jpg", jpeg(smooth(9, 9, 3, 255), comment="x" * 300))
add("jpeg-cmyk.jpg", jpeg(smooth(18, 21, 4, 255), "CMYK", quality=90))
add("jpeg-cmyk-progressive.jpg", jpeg(smooth(18, 21, 4, 255), "CMYK", quality=90, progressive=True))
ycck = jpeg(smooth(18, 21, 4, 255), "CMYK", quality=90)
at = ycck.index(b"Adobe")
ycck[at + 11] = 2  # the marker's colour transform: the four channels are then read as YCCK
add("jpeg-ycck.jpg", ycck)
without_adobe = jpeg(smooth(18, 21, 4, 255), "CMYK", quality=90)
at = without_adobe.index(b"\xff\xee")
length = struct.unpack(">H", without_adobe[at + 2 : at + 4])[0]
add("jpeg-cmyk-without-adobe.jpg", without_adobe[:at] + without_adobe[at + 2 + length :])
plain = jpeg(smooth(32, 32, 3, 255), quality=90)
add("jpeg-without-jfif.jpg", plain[:2] + plain[20:])
add("jpeg-trailing-bytes.jpg", plain + b"trailing bytes")
add("jpeg-cut-in-data.jpg", plain[: len(plain) * 2 // 3], "truncated")
add("jpeg-cut-before-end.jpg", plain[:-40], "truncated")
add("jpeg-cut-with-end-mark.jpg", plain[: len(plain) * 2 // 3] + b"\xff\xd9", "truncated")  # Pillow leaves the rest grey
add("jpeg-cut-in-header.jpg", plain[:200], "truncated")
add("jpeg-cut-in-signature.jpg", plain[:2], "truncated")
progressive = jpeg(smooth(32, 32, 3, 255), quality=90, progressive=True)
add("jpeg-progressive-cut.jpg", progressive[: len(progressive) * 2 // 3], "truncated")
no_tables = bytearray(plain)
while (at := no_tables.find(b"\xff\xc4")) >= 0:
    del no_tables[at : at + 2 + struct.unpack(">H", no_tables[at + 2 : at + 4])[0]]
add("jpeg-without-huffman-tables.jpg", no_tables)
giant = bytearray(plain)
at = giant.index(b"\xff\xc0")
giant[at + 5 : at + 9] = struct.pack(">HH", 65500, 65500)
add("jpeg-too-large.jpg", giant, "too large")
giant[at + 5 : at + 9] = struct.pack(">HH", 13000, 13000)
add("jpeg-empty-giant.jpg", giant, "truncated")
twelve = bytearray(plain)
twelve[at + 4] = 12
add("jpeg-12-bit.jpg", twelve, "unsupported")

# ---- other kinds: recognised and refused
picture = Image.fromarray(smooth(4, 4, 3, 255).astype(np.uint8))
for kind in ("WEBP", "TIFF", "GIF", "BMP", "JPEG2000"):
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    add(f"other.{kind.lower()}", buffer.getvalue(), "unsupported")
add("other.text", b"not an image", "unidentified")
add("other.empty", b"", "unidentified")


# ---- what is expected of them
def sha(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


OUT.mkdir(parents=True, exist_ok=True)
decoded = []
for name, data, fault in files:
    (OUT / name).write_bytes(data)
    if fault is None:
        try:
            rgb = sixteen.get(name)
            if rgb is None:
                rgb = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        except Exception as error:
            print(name, "Pillow:", error)
            fault = "corrupt"
    if fault is not None:
        decoded.append({"file": name, "fault": fault})
    else:
        decoded.append({"file": name, "width": rgb.shape[1], "height": rgb.shape[0], "rgb_sha256": sha(rgb)})


def pattern(width, height):
    """An image that the test computes as well: hard edges and all values."""
    state, pixels = 12345, []
    for i in range(width * height * 3):
        state = (state * 1103515245 + 12345) % 2**31
        pixels.append(255 * ((state >> 16) & 1) if (i // 60) % 2 else (state >> 16) & 255)
    return np.array(pixels, np.uint8).reshape(height, width, 3)


resized = []
for source, target in [
    ((64, 48), (32, 24)), ((64, 48), (21, 17)), ((17, 23), (40, 55)), ((33, 20), (33, 9)), ((33, 20), (10, 20)), ((50, 40), (50, 40)),
    ((1, 1), (5, 3)), ((1, 70), (3, 4)), ((200, 3), (7, 11)), ((97, 89), (48, 48)), ((97, 89), (96, 88)), ((40, 40), (1, 1)), ((30, 90), (16, 48)), ((30, 90), (30, 20)),
]:  # fmt: skip
    image = Image.fromarray(pattern(*source))
    for resample in (2, 3):
        # Since 13 Pillow shrinks the height first where it loses more than twice what the width does.
        rgb = np.asarray(image.resize(target, resample))
        resized.append({"from": source, "to": target, "resample": resample, "rgb_sha256": sha(rgb)})

processed = []
CLIP, VIT = CLIPImageProcessorPil, ViTImageProcessorPil
for source, cls, config in [
    ((61, 43), CLIP, {}),
    ((61, 43), CLIP, {"size": {"shortest_edge": 24}, "crop_size": {"height": 24, "width": 24}}),
    ((43, 61), CLIP, {"size": 24, "crop_size": 24}),
    ((43, 61), CLIP, {"size": 25, "crop_size": 24, "resample": 2}),
    ((61, 43), CLIP, {"size": {"height": 20, "width": 31}, "crop_size": [18, 22]}),
    ((43, 61), CLIP, {"size": {"height": 20, "width": 31}, "crop_size": [18, 22]}),
    ((30, 97), CLIP, {"size": 16, "crop_size": 16}),
    ((10, 97), CLIP, {"size": 16, "crop_size": {"height": 30, "width": 21}}),
    ((9, 7), CLIP, {"do_resize": False, "crop_size": 12}),
    ((30, 20), CLIP, {"do_resize": False, "crop_size": 13}),
    ((61, 43), CLIP, {"size": {"height": 24, "width": 24}, "do_center_crop": False}),
    ((61, 43), CLIP, {"size": 24, "crop_size": 24, "image_mean": [0.5, 0.4, 0.3], "image_std": 0.25}),
    ((61, 43), CLIP, {"size": 24, "crop_size": 24, "do_normalize": False}),
    ((61, 43), CLIP, {"size": 24, "crop_size": 24, "do_rescale": False}),
    ((61, 43), CLIP, {"size": 24, "crop_size": 24, "rescale_factor": 0.00784313725490196, "do_resize": None}),
    ((61, 43), VIT, {"size": 20}),
    ((61, 43), VIT, {"size": {"height": 20, "width": 26}, "resample": 3}),
]:
    pixels = cls(**config)(Image.fromarray(pattern(*source)), return_tensors="np")["pixel_values"][0].astype(np.float32)
    config = dict(config, image_processor_type=cls.__name__.removesuffix("Pil"))
    processed.append({
        "from": source, "config": config, "shape": pixels.shape, "sha256": sha(pixels),
        "sum": float(pixels.astype(np.float64).sum()), "first": [float(x) for x in pixels.reshape(-1)[:8]],
    })  # fmt: skip

open_clip = []
for source, size, preprocess in [
    ((61, 43), 24, {}),
    ((43, 62), 24, {"mean": [0.5, 0.4, 0.3], "std": [0.25, 0.3, 0.2]}),
    ((64, 45), 23, {"interpolation": "bilinear"}),  # spare of 9 and 11 pixels: half a pixel rounds to even
    ((49, 23), 23, {}),
    ((55, 23), 23, {}),
    ((61, 43), 24, {"resize_mode": "squash"}),
    ((61, 43), 24, {"resize_mode": "longest"}),
    ((43, 62), 25, {"resize_mode": "longest", "interpolation": "random"}),
    ((97, 5), 24, {"resize_mode": "longest"}),
]:
    transform = image_transform_v2(PreprocessCfg(size=size, **preprocess), is_train=False)
    pixels = transform(Image.fromarray(pattern(*source))).numpy()
    open_clip.append({
        "from": source, "image_size": size, "preprocess_cfg": preprocess, "sha256": sha(pixels), "first": [float(x) for x in pixels.reshape(-1)[:8]],
    })  # fmt: skip

encoded = []
for size, quality, channels in [((64, 48), 80, 3), ((61, 43), 35, 3), ((17, 23), 95, 3), ((61, 43), 80, 1), ((1, 1), 75, 3), ((200, 3), 100, 1)]:
    pixels = pattern(*size)
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(buffer, "JPEG", quality=quality)
    rgb = np.asarray(Image.open(buffer).convert("RGB"))
    encoded.append({"from": size, "quality": quality, "channels": channels, "rgb_sha256": sha(rgb)})

goldens = {"decoded": decoded, "resized": resized, "processed": processed, "open_clip": open_clip, "encoded": encoded}
text = ",\n".join(f'"{key}": [\n' + ",\n".join(json.dumps(entry) for entry in entries) + "\n]" for key, entries in goldens.items())
(OUT / "goldens.json").write_text("{\n" + text + "\n}\n")
print(len(files), "files,", sum(len(data) for _, data, _ in files), "bytes")
