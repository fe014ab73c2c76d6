"""What text_goldens.py and real_tokenizer_goldens.py share: conversations made from a seed, the two label rules, and the digests that stand
in the goldens.

The rules are implemented here on their own: `original` by comparing id lists; `assistant` by {% generation %} blocks in a copy of each
template, whose character ranges transformers reports. A token counts where it lies wholly inside such a range; of a control token that
takes blanks around it with it, its own characters count.
"""

import hashlib
import json
import random
import re

from tokenizers import Tokenizer
from transformers.utils.chat_template_utils import render_jinja_template

IMAGE = "<|reserved_special_token_0|>"
EMBEDDINGS = 3
TODAY = "2026-11-25"
DATE_STRING = "25 Nov 2026"
NUM_CONVERSATIONS = 560

WORDS = """the of in and with shows no is lung liver kidney heart brain nodule mass cyst lesion fracture effusion opacity left right
upper lower lobe acute chronic mild severe patient image CT MRI X-ray consistent follow-up normal margins density mm cm""".split()
FOREIGN = ["Größe ≈ 3,5 µm", "Поражение печени", "肺に結節", "肺部结节", "رئة سليمة", "הריאה תקינה", "ปอดปกติ", "👩‍⚕️🩻", "e\u0301 nfc", "½ ﬁ ™"]
AWKWARD = ["👨‍👩‍👧‍👦", "🏳️‍🌈🇨🇭", "👩🏽‍⚕️", "肺部可见结节，大小约３ｍｍ。", "肺に結節があります。", "한국어 폐 결절", "हिन्दी फेफड़ा", "رئة سليمة بدون عقيدات", "\u202eرئة\u202c", "ẛ̣ a\u0308 Å",
           "𝕳𝖊𝖑𝖑𝖔", "\u200b\u200d\ufeff", "\U0010fffd\U00100000", "\x00\x01\x1f\x7f", "\x1b[31mred\x1b[0m", "a\u00a0b\u2003c\u2028d", "\r\n\r\n", "\t\t  x", "…—“quoted”", "n̶o̶"]
CODE = ["```python\ndef mean(x):\n    return sum(x) / len(x)  # {{ x }}\n```", '{"findings": [{"site": "left lower lobe", "mm": 4.5}], "normal": false}', "{% for x in y %}{{ x }}{% endfor %}",
        "SELECT id FROM studies WHERE modality = 'CT' AND slices > 64;", "<table><tr><td>a</td></tr></table>", "| organ | state |\n|---|---|\n| liver | normal |", "$\\frac{V_2}{V_1} = 1.25$",
        "for (int i = 0; i < n; ++i) { s += a[i]; }", "\\begin{itemize}\\item a\\end{itemize}", "C:\\scans\\a.png"]
CONTROL = ["<|im_start|>", "<|im_end|>", "<|im_end|>\n", "<|im_start|>assistant\n", "<|im_start|>user\n", "<|eot_id|>", "<|begin_of_text|>", "<|endoftext|>", "<s>", "</s>", "<bos>",
           "<|start_header_id|>assistant<|end_header_id|>\n\n", "<|start_header_id|>user<|end_header_id|>\n\n", "<|assistant_start|>", "<|assistant_end|>", "<|user_start|>", "<|user_end|>",
           "<SPECIAL_67>", "<SPECIAL_68>", "<SPECIAL_65>", "<SPECIAL_66>", "<start_of_turn>model\n", "<end_of_turn>", "[INST]", "[/INST]", "<|assistant|>", "<|end|>\n", "<|user|>\n", "<｜Assistant｜>",
           "<｜end▁of▁sentence｜>"]


class Speaker:
    """Sentences, answers and conversations from one generator."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def sentence(self, low=3, high=9):
        choose = self.random
        words = choose.choices(WORDS, k=choose.randint(low, high))
        if choose.random() < 0.2:
            words.insert(choose.randrange(len(words)), choose.choice(FOREIGN))
        if choose.random() < 0.2:
            words.append(str(choose.randint(0, 99999)))
        return " ".join(words).capitalize() + choose.choice([".", "?", "!", ".\n", " (?).", ";"])

    def content(self):
        kind = self.random.random()
        if kind < 0.72:
            return self.sentence()
        if kind < 0.86:
            return self.random.choice(["", " ", "\n"]).join([self.random.choice(AWKWARD), self.sentence(2, 5), self.random.choice(AWKWARD)])
        if kind < 0.97:
            return self.sentence(2, 5) + "\n" + self.random.choice(CODE)
        return "\n\n".join(self.sentence(8, 20) for _ in range(6))

    def conversation(self, i):
        choose, messages = self.random, []
        if choose.random() < 0.3:
            messages.append(["system", self.content()])
        if i % 40 == 10:
            messages.append(["developer", self.sentence()])
        for _ in range(choose.choice([1, 1, 1, 1, 2, 2, 3])):
            question = self.content()
            if choose.random() < 0.5:
                question = choose.choice([f"{IMAGE}\n{question}", f"{question} {IMAGE}", f"Look: {IMAGE} and {IMAGE}\n{question}"])
            messages += [["user", question], ["assistant", self.content()]]
        if i % 6 == 3:  # control tokens pasted into a message
            message = choose.choice(messages)
            for _ in range(choose.choice([1, 1, 2, 4])):
                at = choose.randint(0, len(message[1]))
                message[1] = message[1][:at] + choose.choice(CONTROL) + message[1][at:]
        if i % 8 == 5:  # blanks around an answer
            messages[-1][1] = choose.choice(["\n", " ", "  \n", "\t", "\u3000", "\n\n", "\x1c "]) + messages[-1][1] + choose.choice(["", "  ", "\n\n", "\u2003"])
        if i % 13 == 7:  # an empty turn
            choose.choice(messages)[1] = choose.choice(["", " ", "\n"])
        if i % 17 == 4:  # an image in an answer
            messages[-1][1] += IMAGE
        if i % 19 == 6:  # thoughts
            for message in messages:
                if message[0] == "assistant":
                    message[1] = choose.choice(["<think>\n{}\n</think>\n\n{}", "<think>{}</think>{}"]).format(self.sentence().strip(), self.sentence())
        if i % 25 == 8:  # two answers in a row
            messages.append(["assistant", self.sentence()])
        if i % 53 == 20:  # many images
            messages[-2][1] = IMAGE * choose.randint(8, 24) + messages[-2][1]
        if i % 140 == 77:  # a long one
            messages[-1][1] = "\n".join(self.sentence(5, 12) for _ in range(60))
        return messages


def conversations():
    speaker = Speaker(17)
    made = [speaker.conversation(i) for i in range(NUM_CONVERSATIONS - 8)]
    made += [
        [["user", "no answer"]],
        [["system", "only a system turn"]],
        [["user", "<think>lung</think> CT"], ["assistant", "<think>\nmass?\n</think>\n\nNo mass."]],
        [["assistant", "First."], ["user", "Second?"]],
        [["user", "a\u0001b\u0000c \\ \" ' {{ x }} {% y %}"], ["assistant", "{{ messages }}"]],
        [["user", ""], ["assistant", ""]],
        [["user", " \n "], ["assistant", "\n"], ["user", "b"], ["assistant", "c"]],
        [["user", IMAGE], ["assistant", IMAGE]],
    ]
    return [[{"role": role, "content": content} for role, content in messages] for messages in made]


# ---- The two rules

def find(ids, part, start=0):
    return next((i for i in range(start, len(ids) - len(part) + 1) if ids[i] == part[0] and ids[i : i + len(part)] == part), None)


def learnt_original(ids, masked, encode):
    learnt = [True] * len(ids)
    for opening, closing in masked:
        left, right = encode(opening), encode(closing)
        start = find(ids, left)
        while start is not None:
            end, size = find(ids, right, start), len(right)
            if end is None and size > 1:  # a conversation may end with the end tag alone
                end, size = find(ids, right[:1], start), 1
            stop = len(ids) if end is None else end + size
            learnt[start:stop] = [False] * (stop - start)
            start = find(ids, left, start + 1)
    return learnt


def learnt_assistant(text, ids, ranges, offsets, specials):
    learnt = []
    for token, (start, end) in zip(ids, offsets):
        if token in specials:
            piece = text[start:end]
            start, end = start + len(piece) - len(piece.lstrip(" \t\n\r\x0b\x0c")), end - (len(piece) - len(piece.rstrip(" \t\n\r\x0b\x0c")))
        learnt.append(any(a <= start and end <= b and start < b for a, b in ranges))
    return learnt


def expand(ids, learnt, image):
    out, mask, ranges = [], [], []
    for token, flag in zip(ids, learnt):
        if token == image:
            ranges.append([len(out), len(out) + EMBEDDINGS])
            out += [token] * EMBEDDINGS
            mask += [False] * EMBEDDINGS
        else:
            out.append(token)
            mask.append(flag)
    return out, mask, ranges


def runs(mask):
    """[start, end) of each run of learnt tokens."""
    edges = [i for i in range(len(mask) + 1) if (i > 0 and mask[i - 1]) != (i < len(mask) and mask[i])]
    return [list(pair) for pair in zip(edges[::2], edges[1::2])]


def digest(value):
    """Six hexadecimal digits of a text, or of numbers written with commas."""
    text = value if isinstance(value, str) else ",".join(map(str, value))
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def labels_of(ids, mask):
    return [token if flag else -100 for token, flag in zip(ids, mask)]


# ---- A tokenizer's goldens. In `template`, «...» stands around what the assistant writes; it becomes nothing, or {% generation %} for our own reading.

def plain(template):
    return re.sub("[«»]", "", template)


def marked(template):
    return template.replace("«", "{%- generation %}").replace("»", "{%- endgeneration %}")


def goldens(fast, template, masked, talks, num_whole, generation_template=None):
    """(whole, digests): the first conversations in full, and "text ids original assistant prompt" of each, "refused" where the template refuses it.
    `generation_template`: writes the same as `template`, with «...»; where it is not given, `template` has them itself. `masked`: pairs of opening and end that the rule `original` leaves out, or None where it has none ("-" in the digests)."""
    image = fast.convert_tokens_to_ids(IMAGE)
    untrimmed = re.sub(r'"trim_offsets":\s*true', '"trim_offsets":false', fast.backend_tokenizer.to_str())
    untrimmed = Tokenizer.from_str(untrimmed)
    specials = {i for i, token in fast.backend_tokenizer.get_added_tokens_decoder().items() if token.special}
    encode = lambda text: fast.backend_tokenizer.encode(text, add_special_tokens=False).ids  # noqa: E731
    variables = dict(fast.special_tokens_map, date_string=DATE_STRING)
    whole, digests = [], []
    for number, messages in enumerate(talks):
        try:
            (text,), _ = render_jinja_template([messages], chat_template=plain(template), add_generation_prompt=False, **variables)
        except Exception as error:
            digests.append("refused")
            if number < num_whole:
                whole.append({"refused": str(error)})
            continue
        (again,), (ranges,) = render_jinja_template([messages], chat_template=marked(generation_template or template), return_assistant_tokens_mask=True, **variables)
        assert again == text, (again, text)
        (prompt,), _ = render_jinja_template([messages], chat_template=plain(template), add_generation_prompt=True, **variables)
        encoding = untrimmed.encode(text, add_special_tokens=False)
        ids = encoding.ids
        assert ids == encode(text)
        if number < 40:
            assert ids == fast.apply_chat_template(messages, chat_template=plain(template), date_string=DATE_STRING, return_dict=True)["input_ids"]
        assistant = expand(ids, learnt_assistant(text, ids, ranges, encoding.offsets, specials), image)
        original = expand(ids, learnt_original(ids, masked, encode), image) if masked is not None else None
        expanded = assistant[0]
        prompt_ids = expand(encode(prompt), [False] * len(encode(prompt)), image)[0]
        digests.append(" ".join([digest(text), digest(expanded), digest(labels_of(expanded, original[1])) if original else "-",
                                 digest(labels_of(expanded, assistant[1])), digest(prompt_ids)]))
        if number < num_whole:
            whole.append({"ids": [t for t in ids if t != image], "images": [r[0] for r in assistant[2]], "original": runs(original[1]) if original else None,
                          "assistant": runs(assistant[1])})
    refused = digests.count("refused")
    print(f"  {len(digests) - refused} conversations, {refused} refused")
    return whole, digests


def write_golden(file, head, whole, digests):
    rows = ",\n".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) for line in whole)
    hashes = ",\n".join(json.dumps(line) for line in digests)
    text = json.dumps(head, ensure_ascii=False, separators=(",", ":"))
    file.write_text(text[:-1] + ',"whole":[\n' + rows + '\n],"digests":[\n' + hashes + "\n]}\n")
