#!/usr/bin/env python3
"""House rules that a compiler does not see. Prints every offence as FILE:LINE and exits 1 if there is one.

    tests/house/check_sources.py [ROOT]
"""
import ast
import pathlib
import re
import sys

# Which folders of src/ a folder may include, beside itself: the arrows of docs/architecture.md, one way only.
ARROWS = {
    "base": set(),
    "recipe": {"base"},
    "text": {"base", "recipe"},
    "image": {"base"},
    "data": {"base", "recipe", "text", "image"},
    "checkpoint": {"base"},
    "tracking": {"base"},
    "models": {"base", "recipe", "text", "image", "data", "checkpoint"},
    "training": {"base", "recipe", "text", "image", "data", "checkpoint", "tracking", "models"},
    "generation": {"base", "recipe", "text", "image", "data", "checkpoint", "tracking", "models", "training"},
    "evaluation": {"base", "recipe", "text", "image", "data", "checkpoint", "tracking", "models", "training", "generation"},
    "report": {"base", "image"},
    "doctor": {"base", "recipe", "text", "image", "data", "report"},
    "cli": {"base", "recipe", "text", "image", "data", "checkpoint", "tracking", "models", "training", "generation", "evaluation", "report", "doctor"},
}
# LibTorch costs 0.3 s to load and seconds to compile: these see it, and of cli/ only the engine.
SEES_LIBTORCH = {"models", "training", "generation", "evaluation"}
LIBTORCH = re.compile(r'^\s*#\s*include\s*[<"](ATen|torch|c10|caffe2)/')
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([a-z_]+)/')
# The front links recipe and base alone; what else it included would have to be linked as well.
FRONT = {"base", "recipe"}

MACHINE_PATH = re.compile(r"(?<![\w.$}/*-])/(work|root|home|mnt|tmp|scratch|Users)/\w")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
TEXT_SUFFIXES = {".cpp", ".h", ".rs", ".py", ".cmake", ".txt", ".md", ".yaml", ".yml", ".toml", ".json", ".jinja", ""}
FOLDERS = ("src", "tests", "bench", "docs", "recipes", "cmake", "deps", "rust", ".ci")


def text_files(root):
    """The project's own text files; goldens (tests/data) are data."""
    tops = [path for path in root.iterdir() if path.is_file() and path.name != ".git"]  # a file in a linked worktree
    for folder in FOLDERS:
        tops += sorted((root / folder).rglob("*"))
    for path in tops:
        relative = path.relative_to(root)
        if path.is_file() and path.suffix in TEXT_SUFFIXES and relative.parts[:2] != ("tests", "data") and "__pycache__" not in relative.parts:
            yield relative


def is_engine(relative):
    """Sources of the engine library: src/cli/engine*.cpp and the folders below src/cli."""
    return len(relative.parts) > 3 or relative.name.startswith("engine")


def check_includes(relative, number, line):
    folder = relative.parts[1]
    if LIBTORCH.match(line):
        if folder not in SEES_LIBTORCH and not (folder == "cli" and is_engine(relative)):
            yield f"{relative}:{number}: {folder}/ may not include LibTorch"
        return
    match = INCLUDE.match(line)
    if not match or match[1] not in ARROWS or match[1] == folder:
        return
    allowed = FRONT if folder == "cli" and not is_engine(relative) else ARROWS[folder]
    if match[1] not in allowed:
        yield f"{relative}:{number}: {'/'.join(relative.parts[:2])} may not include {match[1]}/ (it may: {', '.join(sorted(allowed)) or 'nothing'})"


def check_file(root, relative):
    try:
        text = (root / relative).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        yield f"{relative}: not UTF-8"
        return
    is_source = relative.parts[0] == "src" and relative.suffix in {".cpp", ".h"}
    is_this = relative.parts[:2] == ("tests", "house") and relative.name == "check_sources.py"
    if is_source and len(relative.parts) > 2 and relative.parts[1] not in ARROWS:
        yield f"{relative}: the folder src/{relative.parts[1]} has no place in the order of folders"
        return
    for number, line in enumerate(text.splitlines(), 1):
        if is_source and len(relative.parts) > 2:
            yield from check_includes(relative, number, line)
        if MACHINE_PATH.search(line):
            yield f"{relative}:{number}: names a path of one machine"
        if UNFINISHED.search(line) and not is_this:
            yield f"{relative}:{number}: left unfinished"
        if relative.suffix in {".cpp", ".h", ".py", ".rs"}:
            if line != line.rstrip() or ("\t" in line):
                yield f"{relative}:{number}: tab or trailing space"
    if relative.suffix == ".h" and is_source and not text.startswith("#pragma once"):
        yield f"{relative}:1: a header begins with #pragma once"
    if relative.suffix == ".py":
        try:
            ast.parse(text, str(relative))
        except SyntaxError as error:
            yield f"{relative}:{error.lineno}: {error.msg}"


def check(root):
    return [offence for relative in text_files(root) for offence in check_file(root, relative)]


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2])
    offences = check(root)
    for offence in offences:
        print(offence)
    print(f"{len(offences)} offence(s)" if offences else "the house is in order")
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
