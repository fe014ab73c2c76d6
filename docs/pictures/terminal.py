#!/usr/bin/env python3
"""Draws docs/pictures/terminal.svg from what a demo printed.

    build/multimeditron demo --output demo-output > demo.log; docs/pictures/terminal.py demo.log

Keeps the end of stage 2 and the examination; the page's picture is one of `tests/report/browser_check REPORT --screenshots FOLDER`.
"""
import html
import pathlib
import re
import sys

LINE, MARGIN, COLUMN = 20, 24, 8.43  # pixels


def excerpt(log):
    lines = [line.rstrip() for line in log.splitlines()]
    start = max(i for i, line in enumerate(lines) if line.startswith("stage 2"))
    kept, progress = [], []
    for line in lines[start:]:
        if line.startswith("step "):
            progress.append(line)
            continue
        if progress:
            kept += [progress[0], progress[len(progress) // 2], progress[-1]] if len(progress) > 2 else progress
            progress = []
        if line.startswith(("saved", "test: ", "written to", "all of it", "ask the model", "$ multimeditron generate")):
            continue
        kept.append(line)
    text = "\n".join(["$ multimeditron demo", "..."] + kept)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"/\S*?/(?=runs/|data/|evaluation|recipes/)", "demo-output/", text)).strip().splitlines()


def colour(line):
    if line.startswith("$"):
        return "#8ab4f8"
    if line.startswith(("step", "  ")):
        return "#c9d1d9"
    return "#7ee787"


def main():
    lines = [line[:118] for line in excerpt(pathlib.Path(sys.argv[1]).read_text())]
    width, height = int(2 * MARGIN + COLUMN * max(map(len, lines))), 2 * MARGIN + LINE * len(lines)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
           'aria-label="The end of the demo on a terminal: training, then accuracies by kind of question">',
           f'<rect width="{width}" height="{height}" rx="10" fill="#0d1117"/>',
           '<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="14" xml:space="preserve">']
    for number, line in enumerate(lines):
        weight = ' font-weight="bold"' if re.match(r"\s+(kind  |all  )", line) else ""
        out.append(f'<text x="{MARGIN}" y="{MARGIN + LINE * (number + 0.75):.0f}" fill="{colour(line)}"{weight}>{html.escape(line)}</text>')
    out += ["</g>", "</svg>", ""]
    pathlib.Path(__file__).with_name("terminal.svg").write_text("\n".join(out))


if __name__ == "__main__":
    main()
