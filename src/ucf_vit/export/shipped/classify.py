"""Classifies pictures: python run.py PICTURE [PICTURE ...] -o TABLE.csv

Needs onnxruntime, numpy and Pillow; preprocessing.json and postprocessing.json describe model.onnx.
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np
from images import normalise, tiles
from onnxruntime import InferenceSession
from PIL import Image, ImageOps

PARTS = ("pre", "post")
ORIENTATION, FIRST_SIDEWAYS = 0x0112, 5
GREY = np.array([0.299, 0.587, 0.114], np.float32)


def read(file: str, channels: int, resize: list[int] | None) -> np.ndarray:
    """Returns a picture [C, H, W] in [0, 1], upright; `resize` is its height and width then."""
    with Image.open(file) as stored:
        if resize:
            sideways = stored.format == "JPEG" and stored.getexif().get(ORIENTATION, 1) >= FIRST_SIDEWAYS
            height, width = resize[::-1] if sideways else resize
            stored.draft(None, (2 * width, 2 * height))
        deep = stored.mode.startswith("I")  # 16 bits
        kind = "F" if deep else "RGB"
        picture = stored.convert("RGBA") if "transparency" in stored.info and not deep else stored
        picture = ImageOps.exif_transpose(picture).convert(kind)
        if resize:
            picture = picture.resize((resize[1], resize[0]), Image.Resampling.BILINEAR)
        pixels = np.asarray(picture, np.float32) / np.float32(65535 if deep else 255)
    pixels = np.repeat(pixels[..., None], 3, axis=-1) if deep else pixels
    return np.moveaxis((pixels @ GREY)[..., None] if channels == 1 else pixels, -1, 0)


def classify(image: np.ndarray, session: InferenceSession, before: dict) -> np.ndarray:
    """Returns the probability [K] of each class of an image [C, H, W], from the mean logits of its tiles."""
    name = session.get_inputs()[0].name
    parts = tiles(image, before["window"], before["stride"])
    logits = np.mean([session.run(None, {name: values})[0][0] for _, values in parts], axis=0)
    shares = np.exp(logits - logits.max())
    return shares / shares.sum()


def main() -> None:
    """Reads the command line, and writes a row for each picture."""
    parser = argparse.ArgumentParser(description="Classifies pictures.")
    parser.add_argument("pictures", nargs="+")
    parser.add_argument("-o", "--output", required=True, help="table to write: file, class, probabilities")
    options, folder = parser.parse_args(), Path(__file__).parent
    before, after = (json.loads((folder / f"{part}processing.json").read_text("utf-8")) for part in PARTS)
    session = InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    rows = [["file", "class", *(f"p_{name}" for name in after["classes"])]]
    for file in options.pictures:
        try:
            image = normalise(read(file, before["channels"], before["resize"]), before["normalization"])
        except (OSError, ValueError) as error:
            raise SystemExit(f"{file}: {error}") from None
        shares = classify(image, session, before)
        rows.append([file, after["classes"][shares.argmax()], *(f"{share:.6f}" for share in shares)])
        print(*rows[-1][:2])
    with open(options.output, "w", newline="", encoding="utf-8") as table:
        csv.writer(table, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    main()
