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
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.deit.image_processing_pil_deit import DeiTImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "data/image")
rng = np.random.default_rng(20)
files = []  # (name, bytes, expected fault or None)
sixteen_bit = {}  # name: bits to shift 16-bit grey by, where the high byte is wanted instead of Pillow's clipping
known = {}  # name: pixels of a file that Pillow does not open


def add(name, data, fault=None, shift=None, rgb=None):
    files.append((name, bytes(data), fault))
    if rgb is not None:
        known[name] = rgb.astype(np.uint8)
    if shift is not None:
        sixteen_bit[name] = shift


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
for interlaced in (False, True):
    add(f"png-grey-16{'-interlaced' if interlaced else ''}.png", png(smooth(11, 13, 1, 65535), 0, 16, interlaced), shift=8)

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

def saved(array, kind, mode=None, **options):
    """What Pillow writes of [height, width, channels]."""
    image = array if isinstance(array, Image.Image) else Image.fromarray(array.astype(np.uint8)[..., 0] if array.shape[2] == 1 else array.astype(np.uint8), mode)
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def resampled(array, subsampling, factors, width, height):
    """A JPEG whose luma blocks, as many an MCU as before, are declared to lie otherwise."""
    data = bytearray(jpeg(array, quality=85, subsampling=subsampling))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    data[at + 11] = factors
    return data


add("jpeg-411.jpg", resampled(smooth(32, 32, 3, 255), 2, 0x41, 64, 16))
add("jpeg-440.jpg", resampled(smooth(16, 32, 3, 255), 1, 0x12, 16, 32))
add("jpeg-411-odd.jpg", resampled(smooth(32, 32, 3, 255), 2, 0x41, 61, 15))
add("jpeg-ycck-progressive.jpg", jpeg(smooth(18, 21, 4, 255), "CMYK", quality=90, progressive=True).replace(b"Adobe\0\x64\0\0\0\0\0", b"Adobe\0\x64\0\0\0\0\2"))
add("jpeg-adobe-rgb.jpg", jpeg(smooth(16, 16, 3, 255), keep_rgb=True, quality=95))
add("jpeg-420-odd.jpg", jpeg(smooth(17, 31, 3, 255), quality=75, subsampling=2))
add("jpeg-large.jpg", jpeg(smooth(150, 201, 3, 255), quality=60, subsampling=2))  # also read at a half, a quarter, an eighth
add("jpeg-large-grey.jpg", jpeg(smooth(130, 121, 1, 255), quality=50))
at = plain.index(b"\xff\xc0")
two = plain[: at + 2] + struct.pack(">H", 14) + plain[at + 4 : at + 9] + b"\2" + plain[at + 10 : at + 16] + plain[at + 19 :]
add("jpeg-two-components.jpg", two, "corrupt")
second = Image.fromarray(smooth(9, 9, 3, 255).astype(np.uint8))
add("mpo.jpg", saved(smooth(14, 15, 3, 255), "MPO", save_all=True, append_images=[second]))

restart = bytearray(jpeg(np.add.outer(np.arange(40), np.arange(40))[..., None] * [3, 2, 1] % 256, restart_marker_blocks=2))
at = restart.index(b"\xff\xd1")
del restart[at - 6 : at - 3]
add("jpeg-early-restart.jpg", restart)  # a marker before its blocks are complete: Pillow goes on behind it
add("png-grey-16-dark.png", png(smooth(11, 13, 1, 300), 0, 16), shift=8)

# ---- WebP
for kind, channels, options in [
    ("lossy", 3, {"quality": 60}), ("lossy-1x1", 3, {}), ("lossless", 3, {"lossless": True}), ("lossy-alpha", 4, {"quality": 70}),
    ("lossless-alpha", 4, {"lossless": True}), ("lossless-transparent", 4, {"lossless": True, "exact": True}), ("metadata", 3, {"exif": exif, "icc_profile": b"x" * 40}),
]:  # fmt: skip
    pixels = smooth(*((1, 1) if "1x1" in kind else (23, 17)), channels, 255)
    if "transparent" in kind:
        pixels[:12, :, 3] = 0
    add(f"webp-{kind}.webp", saved(pixels, "WEBP", **options))
frames = [Image.fromarray(smooth(20, 24, 3, 255).astype(np.uint8)) for _ in range(2)]
add("webp-animated.webp", saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]))


def webp_chunk(kind, data):
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def webp(*chunks):
    return b"RIFF" + struct.pack("<I", 4 + sum(map(len, chunks))) + b"WEBP" + b"".join(chunks)


def three(value):
    return struct.pack("<I", value)[:3]


def webp_canvas(width, height, flags):
    return webp_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + three(width - 1) + three(height - 1))


still = saved(smooth(6, 8, 4, 255), "WEBP", lossless=True)
still_chunk = still[still.index(b"VP8L") :]
anim = webp_chunk(b"ANIM", b"\xff\x80\x40\xff\0\0")
frame_header = three(2 // 2) + three(4 // 2) + three(7) + three(5) + three(100) + b"\0"
add("webp-frame-inside.webp", webp(webp_canvas(14, 12, 2), anim, webp_chunk(b"ANMF", frame_header + still_chunk)))
add("webp-trailing-bytes.webp", still + b"trailing bytes")
add("webp-too-large.webp", webp(webp_canvas(16384, 16384, 2), anim, webp_chunk(b"ANMF", frame_header + still_chunk)), "too large")
add("webp-frame-outside.webp", webp(webp_canvas(9, 9, 2), anim, webp_chunk(b"ANMF", frame_header + still_chunk)), "corrupt")
lossy = saved(smooth(23, 17, 3, 255), "WEBP", quality=80)
add("webp-cut-in-data.webp", lossy[: len(lossy) // 2], "truncated")
add("webp-cut-in-header.webp", lossy[:16], "truncated")
add("webp-short-data.webp", webp(webp_chunk(b"VP8 ", lossy[20 : 20 + 60])), "truncated")
add("webp-broken-frame.webp", webp(webp_chunk(b"VP8L", still_chunk[8:13] + bytes(range(255, 100, -1)))), "corrupt")

# ---- GIF
noise = rng.integers(0, 256, (80, 80), dtype=np.uint8)
indexed = Image.fromarray(smooth(15, 22, 1, 31).astype(np.uint8)[..., 0], "P")
indexed.putpalette(palette[:32].tobytes())
add("gif-palette.gif", saved(indexed, "GIF", interlace=0))
add("gif-interlaced.gif", saved(indexed, "GIF", interlace=1))
add("gif-transparent.gif", saved(indexed, "GIF", transparency=3))
add("gif-grey.gif", saved(smooth(15, 22, 1, 255), "GIF"))
add("gif-black-and-white.gif", saved(Image.fromarray(smooth(15, 22, 1, 255).astype(np.uint8)[..., 0]).convert("1"), "GIF"))
add("gif-full-table.gif", saved(Image.fromarray(noise), "GIF"))
add("gif-animated.gif", saved(frames[0].quantize(16), "GIF", save_all=True, append_images=[frames[1].quantize(16)], duration=100))


def lzw(indices, bits):
    """Codes without compression: a clear code often enough that they never grow."""
    size, codes = bits + 1, []
    for i, index in enumerate(indices):
        if i % (2**bits - 2) == 0:
            codes.append(2**bits)
        codes.append(index)
    codes.append(2**bits + 1)
    number = sum(code << (i * size) for i, code in enumerate(codes))
    data = number.to_bytes((len(codes) * size + 7) // 8, "little")
    return bytes([bits]) + b"".join(bytes([len(part)]) + part for part in (data[i : i + 255] for i in range(0, len(data), 255))) + b"\0"


def gif(canvas, frame, indices, global_palette=b"", local_palette=b"", before=b"", bits=3, end=b";"):
    """`frame`: left, top, width, height. Palettes of 2 ** n colours."""

    def flags(colours):
        return 0x80 | (len(colours) // 3).bit_length() - 2 if colours else 0

    data = b"GIF89a" + struct.pack("<HHBBB", *canvas, flags(global_palette), 1, 0) + global_palette + before
    return data + b"," + struct.pack("<HHHHB", *frame, flags(local_palette)) + local_palette + lzw(indices, bits) + end


colours = palette[40:48].tobytes()
some = [int(x) for x in rng.integers(0, 8, 30)]
control = b"!\xf9\4\1\0\0\5\0"  # index 5 is transparent
add("gif-frame-inside.gif", gif((12, 11), (3, 4, 6, 5), some, colours))
add("gif-frame-inside-transparent.gif", gif((12, 11), (3, 4, 6, 5), some, colours, before=control))
add("gif-frame-outside.gif", gif((7, 5), (3, 4, 6, 5), some, colours))
add("gif-local-palette.gif", gif((6, 5), (0, 0, 6, 5), some, colours, palette[80:88].tobytes()))
add("gif-without-palette.gif", gif((6, 5), (0, 0, 6, 5), some))
add("gif-index-palette.gif", gif((6, 5), (0, 0, 6, 5), some, bytes(i // 3 for i in range(12))))
add("gif-local-index-palette.gif", gif((6, 5), (0, 0, 6, 5), some, colours, bytes(i // 3 for i in range(24))))
add("gif-palette-too-short.gif", gif((6, 5), (0, 0, 6, 5), some, colours[:12]))
add("gif-comment.gif", gif((6, 5), (0, 0, 6, 5), some, colours, before=b"!\xfe\5hello\0!\xff\x0bNETSCAPE2.0\3\1\0\0\0"))
add("gif-without-end.gif", gif((6, 5), (0, 0, 6, 5), some, colours, end=b"")[:-1])
add("gif-cut-in-data.gif", gif((6, 5), (0, 0, 6, 5), some, colours)[:-12], "truncated")
add("gif-cut-in-palette.gif", gif((6, 5), (0, 0, 6, 5), some, colours)[:20], "truncated")
add("gif-cut-in-signature.gif", b"GIF8", "truncated")
add("gif-too-few-pixels.gif", gif((6, 5), (0, 0, 6, 5), some[:20], colours), "corrupt")
add("gif-no-frame.gif", gif((6, 5), (0, 0, 6, 5), some, colours).split(b",", 1)[0] + b";", "corrupt")
add("gif-too-large.gif", gif((65535, 65535), (0, 0, 6, 5), some, colours), "too large")
add("gif-frame-too-large.gif", gif((6, 5), (60000, 60000, 6, 5), some, colours), "too large")
add("gif-empty-giant.gif", gif((10000, 10000), (0, 0, 10000, 10000), some, colours), "truncated")

# ---- BMP


def bmp(size, bits, data, *, header=40, colours=b"", compression=0, masks=(), count=0, offset=None):
    """`data` as it stands in the file. A negative height is an image from top to bottom."""
    if header == 12:
        info = struct.pack("<IHHHH", 12, *size, 1, bits)
    else:
        info = struct.pack("<IiiHHIIIIII", 40, *size, 1, bits, compression, len(data), 2835, 2835, count, 0)
        info = struct.pack("<I", header) + info[4:]
        tail = struct.pack(f"<{len(masks)}I", *masks)
        info += tail if header == 40 else tail.ljust(header - 40, b"\0")
    at = 14 + len(info) + len(colours) if offset is None else offset
    return b"BM" + struct.pack("<IHHI", at + len(data), 0, 0, at) + info + colours + data


def bmp_rows(samples, bits):
    rows = [pack_row(row.reshape(-1), bits) if bits <= 8 else row.astype(f"<u{bits // 8}").tobytes() for row in samples[::-1]]
    return b"".join(row + b"\0" * (-len(row) % 4) for row in rows)


def bgr0(entries):
    return b"".join(bytes([b, g, r, 0]) for r, g, b in entries)


for bits in (1, 4, 8):
    add(f"bmp-{bits}.bmp", bmp((13, 7), bits, bmp_rows(smooth(7, 13, 1, 2**bits - 1), bits), colours=bgr0(palette[: 2**bits])))
add("bmp-8-grey.bmp", saved(smooth(7, 13, 1, 255), "BMP"))
add("bmp-1-black-and-white.bmp", saved(Image.fromarray(smooth(7, 13, 1, 255).astype(np.uint8)[..., 0]).convert("1"), "BMP"))
add("bmp-8-short-palette.bmp", bmp((13, 7), 8, bmp_rows(smooth(7, 13, 1, 255), 8), colours=bgr0(palette[:100]), count=100))
add("bmp-4-short-palette.bmp", bmp((13, 7), 4, bmp_rows(smooth(7, 13, 1, 11), 4), colours=bgr0(palette[:12]), count=12))
add("bmp-24.bmp", saved(smooth(7, 13, 3, 255), "BMP"))
add("bmp-32.bmp", saved(smooth(7, 13, 4, 255), "BMP"))
wide = smooth(7, 13, 1, 2**32 - 1)
add("bmp-32-plain.bmp", bmp((13, 7), 32, bmp_rows(wide, 32)))
add("bmp-24-top-down.bmp", bmp((13, -7), 24, bmp_rows(wide, 32)[: 40 * 7]))
add("bmp-16.bmp", bmp((13, 7), 16, bmp_rows(smooth(7, 13, 1, 65535), 16)))
add("bmp-16-565.bmp", bmp((13, 7), 16, bmp_rows(smooth(7, 13, 1, 65535), 16), compression=3, masks=(0xF800, 0x7E0, 0x1F)))
add("bmp-16-555.bmp", bmp((13, 7), 16, bmp_rows(smooth(7, 13, 1, 65535), 16), compression=3, masks=(0x7C00, 0x3E0, 0x1F)))
for name, masks in [("bgrx", (0xFF0000, 0xFF00, 0xFF)), ("xbgr", (0xFF000000, 0xFF0000, 0xFF00)), ("bgxr", (0xFF000000, 0xFF00, 0xFF))]:
    add(f"bmp-32-{name}.bmp", bmp((13, 7), 32, bmp_rows(wide, 32), compression=3, masks=masks))
add("bmp-32-rgba-v5.bmp", bmp((13, 7), 32, bmp_rows(wide, 32), compression=3, header=124, masks=(0xFF, 0xFF00, 0xFF0000, 0xFF000000)))
add("bmp-32-no-masks-v4.bmp", bmp((13, 7), 32, bmp_rows(wide, 32), compression=3, header=108, masks=(0, 0, 0, 0)))
add("bmp-os2-8.bmp", bmp((13, 7), 8, bmp_rows(smooth(7, 13, 1, 255), 8), header=12, colours=palette.tobytes()))
add("bmp-os2-24.bmp", bmp((13, 7), 24, bmp_rows(wide, 32)[: 40 * 7], header=12))
add("bmp-os2-64.bmp", bmp((13, 7), 8, bmp_rows(smooth(7, 13, 1, 255), 8), header=64, colours=bgr0(palette)))
add("bmp-no-offset.bmp", bmp((13, 7), 8, bmp_rows(smooth(7, 13, 1, 255), 8), colours=bgr0(palette), offset=0))
add("bmp-offset-at-palette.bmp", bmp((13, 7), 8, bmp_rows(smooth(7, 13, 1, 255), 8), colours=bgr0(palette), offset=54))
runs = b"\5\7\4\2\0\0" + b"\0\5\1\2\3\4\5\0\4\x11\0\0" + b"\3\6\0\2\2\1" + b"\7\x21\0\0" + b"\x14\x33\0\0" + b"\0\3\x0a\x0b\x0c\0\6\x0d\0\1"
add("bmp-rle8.bmp", bmp((9, 6), 8, runs, colours=bgr0(palette), compression=1))
runs4 = b"\5\x12\4\x34\0\0" + b"\0\5\x12\x34\x50\0\4\x56\0\0" + b"\x09\x78\0\0" + b"\0\4\x9a\xbc\5\xde\0\1"
add("bmp-rle4.bmp", bmp((9, 4), 4, runs4, colours=bgr0(palette[:16]), compression=2))
bmp24 = saved(smooth(7, 13, 3, 255), "BMP")
add("bmp-cut-in-data.bmp", bmp24[:-20], "truncated")
add("bmp-cut-in-header.bmp", bmp24[:30], "truncated")
add("bmp-cut-in-padding.bmp", bmp24[:-1])
add("bmp-rle8-cut.bmp", bmp((9, 6), 8, runs[:20], colours=bgr0(palette), compression=1), "truncated")
add("bmp-rle8-ends-early.bmp", bmp((9, 6), 8, runs[:6] + b"\0\1", colours=bgr0(palette), compression=1), "truncated")
add("bmp-odd-bit-fields.bmp", bmp((13, 7), 16, bmp_rows(smooth(7, 13, 1, 65535), 16), compression=3, masks=(0xF000, 0xF00, 0xF0)), "unsupported")
add("bmp-jpeg-inside.bmp", bmp((13, 7), 24, b"\xff\xd8", compression=4), "unsupported")
add("bmp-2.bmp", bmp((13, 7), 2, bytes(28), colours=bgr0(palette[:4])), "unsupported")
add("bmp-odd-header.bmp", bmp24[:14] + b"\x30" + bmp24[15:], "unsupported")
add("bmp-zero-width.bmp", bmp((0, 7), 24, b""), "corrupt")
add("bmp-too-large.bmp", bmp((0x7FFFFFFF, 0x7FFFFFFF), 24, b""), "too large")
add("bmp-empty-giant.bmp", bmp((10000, 10000), 24, bytes(100)), "truncated")

# ---- PNM


def pnm(header, *parts):
    return header.encode() + b"".join(part if isinstance(part, bytes) else part.encode() for part in parts)


def words(samples):
    return "\n".join(" ".join(map(str, row)) for row in samples.reshape(samples.shape[0], -1)) + "\n"


add("pnm-1.pbm", pnm("P1\n# a comment\n7 3\n", "0101011\n1 1 1 0 0 0 1 # more\n00 11 01 1"))
add("pnm-2.pgm", pnm("P2 6 5 255\n", words(smooth(5, 6, 1, 255))))
add("pnm-2-of-100.pgm", pnm("P2\n6\n5\n100\n", words(smooth(5, 6, 1, 100))))
add("pnm-2-16.pgm", pnm("P2 6 5 65535\n", words(smooth(5, 6, 1, 65535))), shift=8)
add("pnm-3.ppm", pnm("P3\n4 5\n15\n", words(smooth(5, 4, 3, 15))))
add("pnm-3-comments.ppm", pnm("P3 #c\n#d\n2 1 #e\n255 #f\n", "1 2#in a token\n3 4\n5 6 7"))
add("pnm-3-16.ppm", pnm("P3\n4 5\n1000\n", words(smooth(5, 4, 3, 1000))))
add("pnm-4.pbm", pnm("P4\n13 5\n", *[pack_row(row.reshape(-1), 1) for row in smooth(5, 13, 1, 1)]))
add("pnm-5.pgm", pnm("P5\n6 5\n255\n", smooth(5, 6, 1, 255).astype(np.uint8).tobytes()))
add("pnm-5-of-100.pgm", pnm("P5\n# c\n6 5\n100\n", smooth(5, 6, 1, 120).astype(np.uint8).tobytes()))
add("pnm-5-16.pgm", pnm("P5 6 5 65535 ", smooth(5, 6, 1, 65535).astype(">u2").tobytes()), shift=8)
add("pnm-5-12.pgm", pnm("P5 6 5 4095 ", smooth(5, 6, 1, 4095).astype(">u2").tobytes()), shift=8)
add("pnm-6.ppm", saved(smooth(5, 6, 3, 255), "PPM"))
add("pnm-6-of-100.ppm", pnm("P6 6 5 100\n", smooth(5, 6, 3, 100).astype(np.uint8).tobytes()))
add("pnm-6-16.ppm", pnm("P6 6 5 1023\n", smooth(5, 6, 3, 1100).astype(">u2").tobytes()))
floats = np.array([[-1, 0.4, 99.9, 254.999], [255, 300, 1e20, 128.5]])
add("pnm-f-little.pfm", pnm("Pf\n4 2\n-1.0\n", floats.astype("<f4").tobytes()))
add("pnm-f-big.pfm", pnm("Pf\n4 2\n2.5\n", floats.astype(">f4").tobytes()))
add("pnm-trailing-bytes.pgm", pnm("P5\n2 2\n255\n", b"abcdtrailing"))
add("pnm-cut-in-data.ppm", pnm("P6 6 5 255\n", bytes(80)), "truncated")
add("pnm-cut-in-header.ppm", b"P6 6 5", "truncated")
add("pnm-cut-in-text.ppm", pnm("P3 2 2 255\n", "1 2 3 4 5 6 70000007 8 9"), "corrupt")
add("pnm-too-few-numbers.ppm", pnm("P3 2 2 255\n", "1 2 3 4 5 6 7     "), "truncated")
add("pnm-above-maximum.pgm", pnm("P2 2 1 100\n", "100 101"), "corrupt")
add("pnm-no-number.pgm", pnm("P2 2 x 100\n", "100 101"), "corrupt")
add("pnm-bad-bit.pbm", pnm("P1 2 2\n", "0 1 2 1"), "corrupt")
add("pnm-zero-maximum.pgm", pnm("P5 2 2 0\n", bytes(4)), "corrupt")
add("pnm-zero-width.pgm", pnm("P5 0 2 255\n", bytes(4)), "corrupt")
add("pnm-too-large.pgm", pnm("P5 2000000000 2000000000 255\n", bytes(4)), "too large")
add("pnm-empty-giant.pgm", pnm("P5 10000 10000 255\n", bytes(4)), "truncated")
add("pnm-7.pam", pnm("P7\nWIDTH 2\nHEIGHT 1\nDEPTH 1\nMAXVAL 255\nTUPLTYPE GRAYSCALE\nENDHDR\n", b"ab"), "unidentified")

# ---- TIFF
picture = Image.fromarray(smooth(4, 4, 3, 255).astype(np.uint8))


def tiff(size, pieces, photometric, bits=8, samples=1, *, order="<", big=False, tile=None, rows=None, planar=1, compression=1, extra=(), more=()):
    """`pieces`: the encoded strips, or tiles. `more`: (tag, type, values)."""
    letters = {1: "B", 2: "c", 3: "H", 4: "I", 16: "Q"}
    entries = [(256, 4, [size[0]]), (257, 4, [size[1]]), (258, 3, [bits] * samples), (259, 3, [compression]), (262, 3, [photometric]), (277, 3, [samples]), (284, 3, [planar])]
    entries += [(338, 3, list(extra))] if extra else []
    entries += [(322, 4, [tile[0]]), (323, 4, [tile[1]])] if tile else [(278, 4, [rows or size[1]])]
    entries += [(324 if tile else 273, 16 if big else 4, None), (325 if tile else 279, 16 if big else 4, [len(piece) for piece in pieces]), *more]
    entries.sort(key=lambda entry: entry[0])
    header = 16 if big else 8
    offsets = [header + sum(map(len, pieces[:i])) for i in range(len(pieces))]
    directory = header + sum(map(len, pieces))
    directory += directory % 2
    word, count_letter, inline = ("Q", "Q", 8) if big else ("I", "I", 4)
    entry_size, behind = (20, 8) if big else (12, 4)
    outside_at = directory + (8 if big else 2) + entry_size * len(entries) + behind
    table, outside = b"", b""
    for tag, kind, values in entries:
        values = offsets if values is None else values
        data = values if isinstance(values, bytes) else struct.pack(f"{order}{len(values)}{letters[kind]}", *values)
        if len(data) > inline:
            outside += b"\0" * (len(outside) % 2)
            place = struct.pack(order + word, outside_at + len(outside))
            outside += data
        else:
            place = data.ljust(inline, b"\0")
        table += struct.pack(order + "HH" + count_letter, tag, kind, len(values)) + place
    magic = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42)
    head = magic + (struct.pack(order + "HHQ", 8, 0, directory) if big else struct.pack(order + "I", directory))
    body = head + b"".join(pieces)
    return body + b"\0" * (directory - len(body)) + struct.pack(order + ("Q" if big else "H"), len(entries)) + table + bytes(behind) + outside


def strips(samples, depth, order="<", rows=None):
    """Rows packed to bytes, `rows` of them a strip."""
    packed = [row.reshape(-1).astype(f"{order}u2").tobytes() if depth == 16 else pack_row(row.reshape(-1), depth) for row in samples]
    rows = rows or len(packed)
    return [b"".join(packed[i : i + rows]) for i in range(0, len(packed), rows)]


def tiles(samples, depth, tile, order="<"):
    h, w = samples.shape[:2]
    padded = np.pad(samples, ((0, -h % tile[1]), (0, -w % tile[0]), (0, 0)))
    cut = [padded[y : y + tile[1], x : x + tile[0]] for y in range(0, h, tile[1]) for x in range(0, w, tile[0])]
    return [b"".join(strips(part, depth, order)) for part in cut]


rgb8 = smooth(11, 13, 3, 255)
for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "lzma", "zstd"):
    add(f"tiff-{(compression or 'plain').removeprefix('tiff_')}.tiff", saved(rgb8, "TIFF", compression=compression))
add("tiff-jpeg.tiff", saved(smooth(23, 29, 3, 255), "TIFF", compression="jpeg", quality=80))
add("tiff-jpeg-grey.tiff", saved(smooth(23, 29, 1, 255), "TIFF", compression="jpeg", quality=80))
add("tiff-jpeg-cmyk.tiff", saved(smooth(23, 29, 4, 255), "TIFF", "CMYK", compression="jpeg", quality=80))
add("tiff-jpeg-rgb.tiff", tiff((24, 16), [bytes(jpeg(smooth(16, 24, 3, 255), keep_rgb=True))], 2, 8, 3, compression=7))
add("tiff-jpeg-ycbcr-420.tiff", tiff((29, 23), [bytes(jpeg(smooth(23, 29, 3, 255), subsampling=2))], 6, 8, 3, compression=7, more=[(530, 3, [2, 2])]))
bilevel = Image.fromarray(smooth(40, 45, 1, 255).astype(np.uint8)[..., 0]).convert("1")
for compression in (None, "group3", "group4", "tiff_ccitt", "packbits", "tiff_lzw"):
    add(f"tiff-bilevel-{(compression or 'plain').removeprefix('tiff_')}.tiff", saved(bilevel, "TIFF", compression=compression))
add("tiff-group4-white-is-0.tiff", saved(bilevel, "TIFF", compression="group4", tiffinfo={262: 0}))
add("tiff-lzw-predictor.tiff", saved(rgb8, "TIFF", compression="tiff_lzw", tiffinfo={317: 2}))
add("tiff-rgba.tiff", saved(smooth(11, 13, 4, 255), "TIFF", compression="tiff_lzw"))
add("tiff-cmyk.tiff", saved(smooth(11, 13, 4, 255), "TIFF", "CMYK", compression="tiff_lzw"))
add("tiff-cmyk-plain.tiff", saved(smooth(11, 13, 4, 255), "TIFF", "CMYK"))
add("tiff-grey-alpha.tiff", saved(smooth(11, 13, 2, 255), "TIFF", "LA"))
add("tiff-float.tiff", saved(Image.fromarray(np.linspace(-20, 300, 77, dtype=np.float32).reshape(7, 11)), "TIFF"))
add("tiff-float-deflate.tiff", saved(Image.fromarray(np.linspace(-20, 300, 77, dtype=np.float32).reshape(7, 11)), "TIFF", compression="tiff_adobe_deflate"))
add("tiff-int-32.tiff", saved(Image.fromarray(np.linspace(-20, 300, 77).astype(np.int32).reshape(7, 11)), "TIFF"))
add("tiff-palette-saved.tiff", saved(indexed, "TIFF", compression="tiff_lzw"))
add("tiff-pages.tiff", saved(frames[0].copy(), "TIFF", compression="tiff_lzw", save_all=True, append_images=[frames[1].copy(), picture]))
add("tiff-big.tiff", saved(rgb8, "TIFF", big_tiff=True))
add("tiff-strips.tiff", tiff((13, 11), strips(rgb8, 8, rows=4), 2, 8, 3, rows=4))
add("tiff-big-endian.tiff", tiff((13, 11), strips(rgb8, 8), 2, 8, 3, order=">"))
add("tiff-big-big-endian.tiff", tiff((13, 11), strips(rgb8, 8, rows=4), 2, 8, 3, order=">", big=True, rows=4), rgb=rgb8)
for depth in (1, 2, 4, 8):
    grey = smooth(11, 13, 1, 2**depth - 1)
    for photometric, name in ((0, "white-is-0"), (1, "black-is-0")):
        add(f"tiff-grey-{depth}-{name}.tiff", tiff((13, 11), strips(grey, depth), photometric, depth))
    colour_map = (3, [int(x) * 257 for x in palette[: 2**depth].T.reshape(-1)])
    add(f"tiff-palette-{depth}.tiff", tiff((13, 11), strips(grey, depth), 3, depth, more=[(320, *colour_map)]))
    add(f"tiff-palette-{depth}-deflate.tiff", tiff((13, 11), [zlib.compress(part) for part in strips(grey, depth, rows=4)], 3, depth, rows=4, compression=8, more=[(320, *colour_map)]))
grey16, rgb16 = smooth(11, 13, 1, 65535), smooth(11, 13, 3, 65535)
for order, name in (("<", "little"), (">", "big")):
    add(f"tiff-grey-16-{name}.tiff", tiff((13, 11), strips(grey16, 16, order), 1, 16, order=order), shift=8)
    add(f"tiff-rgb-16-{name}.tiff", tiff((13, 11), strips(rgb16, 16, order), 2, 16, 3, order=order))
    add(f"tiff-rgb-16-{name}-deflate.tiff", tiff((13, 11), [zlib.compress(part) for part in strips(rgb16, 16, order, rows=5)], 2, 16, 3, order=order, rows=5, compression=8))
add("tiff-grey-16-white-is-0.tiff", tiff((13, 11), strips(grey16, 16), 0, 16), shift=8)
add("tiff-grey-16-deflate.tiff", saved(Image.fromarray(grey16[..., 0].astype(np.uint16)), "TIFF", compression="tiff_adobe_deflate"), shift=8)
add("tiff-grey-16-signed.tiff", tiff((13, 11), strips(smooth(11, 13, 1, 600) - 100 & 65535, 16), 1, 16, more=[(339, 3, [2])]))
pairs = smooth(66, 2, 1, 4095)[..., 0].tolist()  # 12 bits a sample, two samples in three bytes
add("tiff-grey-12.tiff", tiff((12, 11), [b"".join(bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255]) for a, b in pairs)], 1, 12), shift=4)
add("tiff-cmyk-16.tiff", tiff((13, 11), strips(smooth(11, 13, 4, 65535), 16), 5, 16, 4))
add("tiff-rgba-16.tiff", tiff((13, 11), strips(smooth(11, 13, 4, 65535), 16), 2, 16, 4, extra=[2]))
add("tiff-rgbx.tiff", tiff((13, 11), strips(smooth(11, 13, 4, 255), 8), 2, 8, 4, extra=[0]))
add("tiff-rgb-two-extra.tiff", tiff((13, 11), strips(smooth(11, 13, 5, 255), 8), 2, 8, 5, extra=[2, 0]))
premultiplied = smooth(11, 13, 4, 255)
premultiplied[:3, :, 3] = 0
premultiplied[3:5, :, 3] = 255
add("tiff-premultiplied.tiff", tiff((13, 11), strips(premultiplied, 8), 2, 8, 4, extra=[1]))
add("tiff-premultiplied-deflate.tiff", tiff((13, 11), [zlib.compress(part) for part in strips(premultiplied, 8)], 2, 8, 4, extra=[1], compression=8))
add("tiff-fill-order.tiff", tiff((13, 11), strips(smooth(11, 13, 1, 255), 8), 1, 8, more=[(266, 3, [2])]))
add("tiff-fill-order-1.tiff", tiff((13, 11), strips(smooth(11, 13, 1, 1), 1), 1, 1, more=[(266, 3, [2])]))
planes = [part for c in range(3) for part in strips(rgb8[..., c : c + 1], 8, rows=4)]
add("tiff-planar.tiff", tiff((13, 11), planes, 2, 8, 3, planar=2, rows=4))
add("tiff-planar-deflate.tiff", tiff((13, 11), [zlib.compress(part) for part in planes], 2, 8, 3, planar=2, rows=4, compression=8))
add("tiff-tiles.tiff", tiff((39, 21), tiles(smooth(21, 39, 3, 255), 8, (16, 16)), 2, 8, 3, tile=(16, 16)))
add("tiff-tiles-grey.tiff", tiff((39, 21), tiles(smooth(21, 39, 1, 255), 8, (32, 16)), 1, 8, tile=(32, 16)))
add("tiff-tiles-grey-16.tiff", tiff((39, 21), [zlib.compress(part) for part in tiles(smooth(21, 39, 1, 65535), 16, (16, 32))], 1, 16, tile=(16, 32), compression=8), shift=8)
add("tiff-tiles-deflate.tiff", tiff((39, 21), [zlib.compress(part) for part in tiles(smooth(21, 39, 3, 255), 8, (16, 16))], 2, 8, 3, tile=(16, 16), compression=8))
tiled = smooth(21, 39, 3, 255)
add("tiff-tiles-planar.tiff", tiff((39, 21), [zlib.compress(part) for c in range(3) for part in tiles(tiled[..., c : c + 1], 8, (16, 16))], 2, 8, 3, tile=(16, 16), planar=2, compression=8))
add("tiff-tiles-jpeg.tiff", tiff((24, 20), [bytes(jpeg(smooth(16, 16, 3, 255), subsampling=2)) for _ in range(4)], 6, 8, 3, tile=(16, 16), compression=7, more=[(530, 3, [2, 2])]))
add("tiff-ycbcr-plain.tiff", saved(Image.fromarray(rgb8.astype(np.uint8)).convert("YCbCr"), "TIFF"))
add("tiff-ycbcr-lzw.tiff", saved(Image.fromarray(rgb8.astype(np.uint8)).convert("YCbCr"), "TIFF", compression="tiff_lzw"))
for orientation in range(2, 9):
    add(f"tiff-orientation-{orientation}.tiff", tiff((7, 5), strips(smooth(5, 7, 3, 255), 8), 2, 8, 3, more=[(274, 3, [orientation])]))
add("tiff-orientation-6-lzw.tiff", saved(rgb8, "TIFF", compression="tiff_lzw", tiffinfo={274: 6}))
packet = b'<x:xmpmeta><rdf:Description tiff:Orientation="8"/></x:xmpmeta>'
add("tiff-orientation-xmp.tiff", tiff((7, 5), strips(smooth(5, 7, 3, 255), 8), 2, 8, 3, more=[(700, 1, packet)]))
lzw_tiff, plain_tiff = saved(smooth(30, 30, 3, 255), "TIFF", compression="tiff_lzw"), tiff((13, 11), strips(rgb8, 8), 2, 8, 3)
add("tiff-cut-in-directory.tiff", plain_tiff[:-20], "truncated")
add("tiff-cut-before-directory.tiff", lzw_tiff[: len(lzw_tiff) // 2] if lzw_tiff[4] != 8 else plain_tiff[:100], "truncated")
add("tiff-cut-in-header.tiff", b"II*\0\x08", "truncated")
moved = bytearray(plain_tiff)
at = moved.index(struct.pack("<HHI", 273, 4, 1)) + 8
moved[at : at + 4] = struct.pack("<I", len(moved) - 50)
add("tiff-strip-past-end.tiff", moved, "truncated")
add("tiff-short-deflate.tiff", tiff((13, 11), [zlib.compress(strips(rgb8, 8)[0][:100])], 2, 8, 3, compression=8), "corrupt")
add("tiff-broken-deflate.tiff", tiff((13, 11), [b"\x78\x9c" + bytes(range(100))], 2, 8, 3, compression=8), "corrupt")
add("tiff-jpeg-cut.tiff", tiff((29, 23), [bytes(jpeg(smooth(23, 29, 3, 255), subsampling=0))[:900]], 6, 8, 3, compression=7, more=[(530, 3, [1, 1])]), "truncated")
add("tiff-without-palette.tiff", tiff((13, 11), strips(smooth(11, 13, 1, 15), 4), 3, 4), "corrupt")
add("tiff-zero-width.tiff", tiff((0, 11), [b""], 2, 8, 3), "corrupt")
add("tiff-too-large.tiff", tiff((60000, 60000), strips(rgb8, 8), 2, 8, 3), "too large")
add("tiff-empty-giant.tiff", tiff((13000, 13000), strips(rgb8, 8), 2, 8, 3), "truncated")
add("tiff-empty-giant-deflate.tiff", tiff((13000, 13000), [zlib.compress(bytes(1000))], 2, 8, 3, compression=8), "truncated")
add("tiff-giant-tiles.tiff", tiff((13, 11), strips(rgb8, 8), 2, 8, 3, tile=(1 << 20, 1 << 20), compression=4), "too large")
add("tiff-wide-tiles.tiff", tiff((13, 11), strips(rgb8, 8), 2, 8, 3, tile=(1 << 24, 16), compression=5), "too large")
add("tiff-lab.tiff", saved(Image.fromarray(rgb8.astype(np.uint8), "LAB"), "TIFF"), "unsupported")
add("tiff-float-64.tiff", tiff((5, 3), [np.arange(15.0).tobytes()], 1, 64, more=[(339, 3, [3])]), "unsupported")
add("tiff-rgb-4.tiff", tiff((4, 3), [bytes(18)], 2, 4, 3), "unsupported")

# ---- other kinds: recognised and refused
add("other.jpeg2000", saved(picture, "JPEG2000"))
add("other.avif", saved(picture, "AVIF"), "unsupported")
add("other.text", b"not an image", "unidentified")
add("other.empty", b"", "unidentified")


# ---- what is expected of them
def sha(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


OUT.mkdir(parents=True, exist_ok=True)
decoded, clipped = [], []
for name, data, fault in files:
    (OUT / name).write_bytes(data)
    if fault is None:
        try:
            image = Image.fromarray(known[name]) if name in known else Image.open(io.BytesIO(data))
            rgb = np.asarray(image.convert("RGB"))
            if name in sixteen_bit:
                clipped.append({"file": name, "rgb_sha256": sha(rgb)})
                rgb = np.repeat((np.asarray(image).astype(np.int64) >> sixteen_bit[name]).astype(np.uint8)[..., None], 3, axis=2)
        except Exception as error:
            print(name, "Pillow:", error)
            fault = "corrupt"
    if fault is not None:
        decoded.append({"file": name, "fault": fault})
    else:
        decoded.append({"file": name, "width": rgb.shape[1], "height": rgb.shape[0], "rgb_sha256": sha(rgb)})


reduced = []  # JPEGs at a smaller scale of the DCT
for name, data, fault in files:
    for enough in [(8, 8), (13, 20), (37, 30), (100, 60), (101, 75)] if name in ("jpeg-large.jpg", "jpeg-large-grey.jpg", "jpeg-cmyk.jpg") else []:
        image = Image.open(io.BytesIO(data))
        image.draft(None, enough)
        rgb = np.asarray(image.convert("RGB"))
        reduced.append({"file": name, "enough": enough, "width": rgb.shape[1], "height": rgb.shape[0], "rgb_sha256": sha(rgb)})


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
    for resample in (1, 2, 3):
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
    ((61, 43), ConvNextImageProcessorPil, {"size": {"shortest_edge": 24}}),
    ((43, 62), ConvNextImageProcessorPil, {"size": 21, "crop_pct": 0.9, "resample": 2, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}),
    ((61, 43), ConvNextImageProcessorPil, {"size": {"shortest_edge": 384}, "resample": 3}),
    ((61, 43), SiglipImageProcessorPil, {"size": {"height": 20, "width": 24}}),
    ((61, 43), BlipImageProcessorPil, {"size": 20}),
    ((61, 43), BitImageProcessorPil, {"size": {"shortest_edge": 25}, "crop_size": 22, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}),
    ((61, 43), DeiTImageProcessorPil, {"size": 25, "crop_size": 22, "resample": 1}),
    ((61, 43), SiglipImageProcessorPil, {}),
    ((61, 43), DeiTImageProcessorPil, {}),
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

goldens = {"decoded": decoded, "clipped": clipped, "reduced": reduced, "resized": resized, "processed": processed, "open_clip": open_clip, "encoded": encoded}
text = ",\n".join(f'"{key}": [\n' + ",\n".join(json.dumps(entry) for entry in entries) + "\n]" for key, entries in goldens.items())
(OUT / "goldens.json").write_text("{\n" + text + "\n}\n")
print(len(files), "files,", sum(len(data) for _, data, _ in files), "bytes")
