"""How a DICOM frame and a NIfTI slice are shown, written with pydicom, nibabel and numpy: what the program must come out as.

Both functions return RGB as an array [height, width, 3] of uint8. `window`: None (what the file says, else from the least to the
greatest value), "minmax", "percentile" or (centre, width).
"""

import io
import tempfile

import gdcm
import nibabel
import numpy as np
import pydicom
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut


def to_grey(share):
    return np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)


def of_window(values, centre, width):
    """DICOM's LINEAR_EXACT; LINEAR is (centre - 0.5, width - 1)."""
    values = np.asarray(values, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (values - centre) / width + 0.5
    share = np.where(values <= centre - width / 2, 0, np.where(values > centre + width / 2, 1, share))
    return np.where(np.isnan(values), 0, share)


def of_range(values, low, high):
    values = np.asarray(values, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (values - low) / (high - low)
    share = np.where(values <= low, 0, np.where(values >= high, 1, share))
    return np.where(np.isnan(values), 0, share)


def chosen(values, window):
    """Shares of white for a window that does not depend on the file; nothing where it does."""
    values = np.asarray(values, np.float64)
    finite = values[np.isfinite(values)]
    if window == "minmax":
        return of_range(values, finite.min(), finite.max()) if finite.size else np.zeros(values.shape)
    if window == "percentile":
        return of_range(values, *np.percentile(finite, (1, 99)))
    return None if window is None else of_window(values, *window)


def frame_of(data, frame):
    """One frame, what its file says of frames laid over the whole (enhanced files)."""
    for name, index in (("SharedFunctionalGroupsSequence", 0), ("PerFrameFunctionalGroupsSequence", frame)):
        if name not in data:
            continue
        group = data[name].value[index]
        for part in ("PixelValueTransformationSequence", "FrameVOILUTSequence"):
            if part in group:
                for element in group[part].value[0]:
                    data[element.tag] = element
    if not any(name in data for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise ValueError("no pixel data")
    if data.file_meta.get("TransferSyntaxUID") == pydicom.uid.JPEGExtended12Bit and data.BitsStored > 8:
        return twelve_bits(data, frame)
    if data.BitsAllocated in (8, 16, 32) and "PixelData" in data:
        return pydicom.pixels.pixel_array(data, index=frame)
    pixels = data.pixel_array  # single bits of one frame alone: pydicom 3.0 counts them wrongly
    return pixels[frame] if int(data.get("NumberOfFrames") or 1) > 1 else pixels


def twelve_bits(data, frame):
    """A lossy JPEG of 12 bits as GDCM decodes it: pydicom leaves these to libjpeg (Thomas Richter's), which rounds otherwise by 1 here and there
    and refuses some."""
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    with tempfile.NamedTemporaryFile(suffix=".dcm") as file:
        file.write(stream.getvalue())
        file.flush()
        reader = gdcm.ImageReader()
        reader.SetFileName(file.name)
        if not reader.Read():
            raise ValueError("GDCM refuses the file")
        pixels = reader.GetImage().GetBuffer().encode("utf-8", "surrogateescape")
    values = np.frombuffer(pixels, np.uint16).reshape(-1, data.Rows, data.Columns)[frame]
    return (values.astype(np.int64) << (64 - data.BitsStored) >> (64 - data.BitsStored)) if data.PixelRepresentation else values


def render_dicom(source, frame=0, window=None):
    data = source if isinstance(source, pydicom.Dataset) else pydicom.dcmread(source if not isinstance(source, bytes) else io.BytesIO(source), force=True)
    pixels = frame_of(data, frame)
    if pixels.ndim == 3:
        bits = 8 if pixels.dtype.itemsize == 1 else int(data.BitsStored)
        return np.clip(pixels.astype(np.int64) >> max(bits - 8, 0), 0, 255).astype(np.uint8)
    if data.PhotometricInterpretation == "PALETTE COLOR":
        colours = apply_color_lut(pixels, data)[..., :3]
        return (colours >> (8 * colours.dtype.itemsize - 8)).astype(np.uint8)
    values = apply_modality_lut(pixels, data)
    share = chosen(values, window)
    if share is None and "VOILUTSequence" in data:
        table = apply_voi_lut(values, data)
        share = table / (2.0 ** data.VOILUTSequence[0].LUTDescriptor[2] - 1)
    if share is None and "WindowCenter" in data and "WindowWidth" in data:
        first = lambda value: float(value[0] if isinstance(value, pydicom.multival.MultiValue) else value)  # noqa: E731
        centre, width = first(data.WindowCenter), first(data.WindowWidth)
        kind = data.get("VOILUTFunction", "LINEAR")
        if kind == "SIGMOID":
            share = 1 / (1 + np.exp(-4 * (values - centre) / width))
        elif kind == "LINEAR_EXACT":
            share = of_window(values, centre, width)
        elif width >= 1:
            share = of_window(values, centre - 0.5, width - 1)
        if share is not None:
            check_against_pydicom(data, values, share)
    if share is None:
        share = chosen(values, "minmax")
    grey = to_grey(share)
    if data.PhotometricInterpretation == "MONOCHROME1":
        grey = 255 - grey
    return np.repeat(grey[..., None], 3, axis=2)


def check_against_pydicom(data, values, share):
    """The formula above, written for shares of white, is pydicom's."""
    shown = apply_voi_lut(values, data)
    if "ModalityLUTSequence" in data:
        low, high = 0, 2.0 ** data.ModalityLUTSequence[0].LUTDescriptor[2] - 1
    else:
        signed, bits = data.PixelRepresentation, data.BitsStored
        low, high = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0, 2.0**bits - 1)
    if "RescaleSlope" in data and "RescaleIntercept" in data:
        low, high = low * float(data.RescaleSlope) + float(data.RescaleIntercept), high * float(data.RescaleSlope) + float(data.RescaleIntercept)
    np.testing.assert_allclose((shown - low) / (high - low), share, atol=1e-6)


def render_nifti(image, plane="axial", slice=None, volume=0, window=None):
    """`image`: as nibabel loads it."""
    kind = image.header.get_data_dtype()
    image = nibabel.as_closest_canonical(image)
    data = np.asanyarray(image.dataobj) if kind.fields else image.get_fdata()
    while data.ndim < 3:
        data = data[..., None]
    data = data.reshape(data.shape[:3] + (-1,), order="F")[..., volume]
    axis = {"sagittal": 0, "coronal": 1, "axial": 2}[plane]
    index = data.shape[axis] // 2 if slice is None else slice
    # Right, anterior, superior grow along the axes; a radiologist's columns run to the patient's left (or back), rows to back or feet.
    picture = np.take(data, index, axis)[::-1, ::-1].T
    if kind.fields:
        return np.stack([picture[name] for name in "RGB"], axis=2)
    low, high = float(image.header["cal_min"]), float(image.header["cal_max"])
    share = chosen(picture, window)
    if share is None:
        share = of_range(picture, low, high) if low < high else chosen(picture, "minmax")
    return np.repeat(to_grey(share)[..., None], 3, axis=2)
