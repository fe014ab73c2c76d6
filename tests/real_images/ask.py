#!/usr/bin/env python3
"""Asks a trained model every question of a data set of make_dataset.py and counts the right answers.

    ask.py PROGRAM MODEL SET     exit 1 below 90 %
"""

import collections
import json
import re
import subprocess
import sys
from pathlib import Path

ENOUGH = 0.9


def answer_of(program, model, image, question):
    command = [program, "generate", "--model", model, "--image", str(image), "--max-new-tokens", "32", "--json", question]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\nexit code {done.returncode}\n{done.stderr}")
    answer = json.loads(done.stdout)["text"]
    return re.sub(r"<think>.*?</think>", "", answer, flags=re.DOTALL).strip()  # Qwen3's template puts an empty thought first


def main():
    program, model, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    asked, right = collections.Counter(), collections.Counter()
    for line in (folder / "questions.jsonl").read_text().splitlines():
        item = json.loads(line)
        answer = answer_of(program, model, folder / item["image"], item["question"])
        asked[item["question"]] += 1
        right[item["question"]] += answer == item["answer"]
        if answer != item["answer"]:
            print(f"{Path(item['image']).name}: {item['question']} {item['answer']!r} is known, {answer!r} answered")
    for question, count in asked.items():
        print(f"{right[question]:3} of {count:3}  {question}")
    accuracy = right.total() / asked.total()
    print(f"{100 * accuracy:.1f} % of {asked.total()} answers are right")
    return 0 if accuracy >= ENOUGH else 1


if __name__ == "__main__":
    sys.exit(main())
