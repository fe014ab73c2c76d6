"""Writes tests/data/text/real_tokenizers.json: ids that the published tokenizers of Qwen3 and Llama-3.1 give to awkward strings.
Does nothing where fetch_tokenizers.sh has not fetched them.

Made with Python 3.11, tokenizers 0.23.3 (the library under transformers' fast tokenizers).
Run: python real_tokenizer_goldens.py
"""

import json
import pathlib
import random

from tokenizers import Tokenizer

ROOT = pathlib.Path(__file__).parent.parent.parent
FOLDER = ROOT / ".deps/tokenizers"
random.seed(11)

WORDS = """the lung shows a nodule don't it's I'm WE'RE 12345 3.14 1,000,000 foo_bar __init__ x=y+z; <|im_start|> <|im_end|> <|eot_id|>
<think> </think> <|endoftext|> <|begin_of_text|> <|reserved_special_token_0|> T1/T2-weighted (FLAIR) 5mm² [CT]""".split()
FOREIGN = ["Größe ≈ 3,5 µm", "Поражение печени", "肺に結節があります。", "肺部可见结节，大小约３ｍｍ", "رئة سليمة بدون عقيدات", "הריאה תקינה",
           "ปอดปกติไม่มีก้อน", "한국어 폐 결절", "हिन्दी फेफड़ा", "👩‍⚕️🩻", "👨‍👩‍👧‍👦", "🏳️‍🌈🇨🇭", "e\u0301a\u0308", "½ ﬁ ™ Å", "ẛ̣", "𝕳𝖊𝖑𝖑𝖔", "\u0000\u0001\u001f", "\u200b\u200d\ufeff",
           "\r\n\r\n", "\t\t  x", "   ", "\n\n\n", "a\u00a0b\u2003c", "\U0010ffff\U00100000"]
BLOCKS = [(32, 126), (0xA0, 0x24F), (0x370, 0x3FF), (0x4E00, 0x9FFF), (0x600, 0x6FF), (0xE00, 0xE7F), (0x1F300, 0x1FAFF), (0x300, 0x36F)]


def noise():
    return "".join(chr(random.randint(*random.choice(BLOCKS))) for _ in range(random.randint(1, 6)))


def main():
    names = [name for name in ("qwen3", "llama3_1") if (FOLDER / name / "tokenizer.json").exists()]
    if len(names) < 2:
        print("no published tokenizers below .deps/tokenizers: nothing written")
        return
    strings = ["", " ", "a"] + FOREIGN + WORDS
    while len(strings) < 300:
        parts = [random.choice([random.choice(WORDS), random.choice(WORDS), random.choice(FOREIGN), noise()]) for _ in range(random.randint(1, 6))]
        strings.append(random.choice([" ", " ", "", "  ", "\n"]).join(parts))
    ids = {}
    for name in names:
        tokenizer = Tokenizer.from_file(str(FOLDER / name / "tokenizer.json"))
        ids[name] = [tokenizer.encode(text, add_special_tokens=False).ids for text in strings]
    rows = [json.dumps({"text": text, **{name: ids[name][i] for name in names}}, ensure_ascii=True, separators=(",", ":")) for i, text in enumerate(strings)]
    (ROOT / "tests/data/text/real_tokenizers.json").write_text("[\n" + ",\n".join(rows) + "\n]\n")


main()
