//! Byte-level BPE, the kind of GPT-2, Llama 3, Qwen and Apertus, without the library's bookkeeping for each character: the same pieces by a
//! pattern that needs no backtracking, and a table from a piece to its tokens. Added tokens, normalizers and merges stay the library's.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

use ahash::AHashMap;
use regex_automata::{meta::Regex, Anchored, Input};
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::split::SplitPattern;
use tokenizers::tokenizer::SplitDelimiterBehavior;
use tokenizers::{Model, ModelWrapper, NormalizerWrapper, OffsetReferential, OffsetType, PreTokenizerWrapper, Tokenizer};
use unicode_normalization_alignments::is_nfc;

use crate::tokenizer::Offsets;

/// The split of a `ByteLevel` pre-tokenizer with `use_regex`.
const GPT2_SPLIT: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
/// How the patterns of this kind end: a run of blanks leaves its last one to the word behind it.
const BLANKS_BEFORE_A_WORD: &str = r"|\s+(?!\S)|\s+";
/// Longer pieces, and more of them in a thread, are not kept.
const LONGEST_KEPT: usize = 256;
const MOST_KEPT: usize = 1 << 16;

pub struct ByteLevelBpe {
    steps: Vec<Step>,
    /// Tells apart whose pieces a thread's table holds.
    id: u64,
}

enum Step {
    Pattern(Pattern),
    Digits { individual: bool },
}

/// Pieces of a text as a `Split` with the behaviour `Isolated` makes them.
struct Pattern {
    regex: Regex,
    /// The second pattern of `regex` is a run of blanks.
    has_blanks: bool,
}

/// A token and how many bytes of its piece it stands for.
#[derive(Clone, Copy)]
struct Part {
    id: u32,
    bytes: u32,
}

#[derive(Default)]
struct Table {
    owner: u64,
    pieces: AHashMap<Box<str>, (u32, u32)>,
    parts: Vec<Part>,
    /// Parts of `pieces`; the ones behind belong to the last piece that was not kept.
    kept: usize,
    mapped: String,
}

thread_local! {
    static TABLE: RefCell<Table> = RefCell::default();
}

impl ByteLevelBpe {
    /// None for a tokenizer of another kind, or with a pattern that only the library's engine reads.
    pub fn of(tokenizer: &Tokenizer) -> Option<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        bpe_of(tokenizer)?;
        let list = match tokenizer.get_pre_tokenizer()? {
            PreTokenizerWrapper::Sequence(sequence) => sequence.as_ref(),
            single => std::slice::from_ref(single),
        };
        let (last, first) = list.split_last()?;
        let mut steps = first.iter().map(Step::of).collect::<Option<Vec<_>>>()?;
        match last {
            PreTokenizerWrapper::ByteLevel(last) if !last.add_prefix_space => {
                if last.use_regex {
                    steps.push(Step::Pattern(Pattern::new(GPT2_SPLIT)?));
                }
            }
            _ => return None,
        }
        Some(Self { steps, id: NEXT.fetch_add(1, Ordering::Relaxed) })
    }

    /// Ids, and with `with_offsets` each one's byte range of the text, widened to whole characters. `tokenizer` is the one of `of`. None where
    /// offsets are asked for and the normalizer changes the text.
    pub fn encode(&self, tokenizer: &Tokenizer, text: &str, with_offsets: bool) -> Result<Option<(Vec<u32>, Offsets)>, String> {
        let Some(bpe) = bpe_of(tokenizer) else { return Ok(None) };
        let normalizer = tokenizer.get_normalizer().filter(|normalizer| !keeps(normalizer, text));
        if with_offsets && normalizer.is_some() {
            return Ok(None);
        }
        let splits = tokenizer.get_added_vocabulary().extract_and_normalize(normalizer, text);
        let (mut ids, mut offsets) = (Vec::with_capacity(text.len() / 3), Offsets::new());
        TABLE.with_borrow_mut(|table| {
            table.belong_to(self.id);
            for (split, range, added) in splits.get_splits(OffsetReferential::Original, OffsetType::Byte) {
                if let Some(added) = added {
                    ids.extend(added.iter().map(|token| token.id));
                    offsets.extend(added.iter().map(|_| range));
                    continue;
                }
                let mut start = range.0;
                split_by(&self.steps, split, &mut |piece| {
                    for part in table.parts_of(bpe, piece)? {
                        ids.push(part.id);
                        if with_offsets {
                            let end = start + part.bytes as usize;
                            offsets.push((floor(text, start), ceil(text, end)));
                            start = end;
                        }
                    }
                    Ok(())
                })?;
            }
            Ok(Some((ids, offsets)))
        })
    }
}

fn bpe_of(tokenizer: &Tokenizer) -> Option<&BPE> {
    match tokenizer.get_model() {
        ModelWrapper::BPE(bpe) if bpe.dropout.unwrap_or(0.0) == 0.0 => Some(bpe),
        _ => None,
    }
}

/// Whether the normalizer is known to leave the text, and so every part of it, as it is.
fn keeps(normalizer: &NormalizerWrapper, text: &str) -> bool {
    matches!(normalizer, NormalizerWrapper::NFC(_)) && (text.is_ascii() || is_nfc(text))
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn ceil(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

type Sink<'a> = dyn FnMut(&str) -> Result<(), String> + 'a;

fn split_by(steps: &[Step], text: &str, sink: &mut Sink) -> Result<(), String> {
    match steps.split_first() {
        None => sink(text),
        Some((Step::Pattern(pattern), rest)) => pattern.split(text, &mut |piece| split_by(rest, piece, sink)),
        Some((Step::Digits { individual }, rest)) => split_digits(text, *individual, &mut |piece| split_by(rest, piece, sink)),
    }
}

fn split_digits(text: &str, individual: bool, sink: &mut Sink) -> Result<(), String> {
    let mut start = 0;
    let mut was_digit = None;
    for (at, character) in text.char_indices() {
        let is_digit = character.is_numeric();
        if was_digit.is_some_and(|was| was != is_digit || (is_digit && individual)) {
            sink(&text[start..at])?;
            start = at;
        }
        was_digit = Some(is_digit);
    }
    if start < text.len() {
        sink(&text[start..])
    } else {
        Ok(())
    }
}

impl Step {
    fn of(pre_tokenizer: &PreTokenizerWrapper) -> Option<Self> {
        match pre_tokenizer {
            PreTokenizerWrapper::Digits(digits) => Some(Step::Digits { individual: digits.individual_digits }),
            PreTokenizerWrapper::Split(split) if split.behavior == SplitDelimiterBehavior::Isolated && !split.invert => {
                match &split.pattern {
                    SplitPattern::Regex(pattern) => Pattern::new(pattern).map(Step::Pattern),
                    SplitPattern::String(_) => None,
                }
            }
            _ => None,
        }
    }
}

impl Pattern {
    fn new(pattern: &str) -> Option<Self> {
        // Possessive in the library's dialect, nested repetitions in this one.
        if Regex::new(r"[+*?]\+|\{[0-9,]+\}\+").ok()?.is_match(pattern) {
            return None;
        }
        let head = pattern.strip_suffix(BLANKS_BEFORE_A_WORD);
        let regex = match head {
            Some(head) => Regex::new_many(&[head, r"\s+"]),
            None => Regex::new(pattern),
        }
        .ok()?;
        (!regex.is_match("")).then_some(Self { regex, has_blanks: head.is_some() })
    }

    fn split(&self, text: &str, sink: &mut Sink) -> Result<(), String> {
        let mut at = 0;
        while at < text.len() {
            let input = Input::new(text).span(at..text.len());
            // At the very place first: nearly every piece begins where the last one ended, and no search for its start is needed.
            let Some(found) = self.regex.find(input.clone().anchored(Anchored::Yes)).or_else(|| self.regex.find(input)) else { break };
            let mut end = found.end();
            if self.has_blanks && found.pattern().as_usize() == 1 && end < text.len() {
                let last = text[..end].chars().next_back().map_or(0, char::len_utf8);
                if end - last > found.start() {
                    end -= last;
                }
            }
            if at < found.start() {
                sink(&text[at..found.start()])?;
            }
            sink(&text[found.start()..end])?;
            at = end;
        }
        if at < text.len() {
            sink(&text[at..])
        } else {
            Ok(())
        }
    }
}

impl Table {
    fn belong_to(&mut self, owner: u64) {
        if self.owner != owner || self.pieces.len() >= MOST_KEPT {
            self.owner = owner;
            self.pieces.clear();
            self.kept = 0;
        }
    }

    fn parts_of(&mut self, bpe: &BPE, piece: &str) -> Result<&[Part], String> {
        if let Some(&(start, end)) = self.pieces.get(piece) {
            return Ok(&self.parts[start as usize..end as usize]);
        }
        self.mapped.clear();
        self.mapped.extend(piece.bytes().map(byte_character));
        self.parts.truncate(self.kept);
        let start = self.kept;
        for token in bpe.tokenize(&self.mapped).map_err(|error| error.to_string())? {
            let bytes = self.mapped[token.offsets.0..token.offsets.1].chars().count();
            self.parts.push(Part { id: token.id, bytes: bytes as u32 });
        }
        if piece.len() <= LONGEST_KEPT {
            self.kept = self.parts.len();
            self.pieces.insert(piece.into(), (start as u32, self.kept as u32));
        }
        Ok(&self.parts[start..])
    }
}

/// The character that stands for a byte in byte-level vocabularies (GPT-2): itself where it is printable, else one from U+0100 on.
fn byte_character(byte: u8) -> char {
    let code = match byte {
        b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => byte as u32,
        0..=0x20 => 0x100 + byte as u32,
        0x7f..=0xa0 => 0x121 + byte as u32 - 0x7f,
        0xad => 0x143,
    };
    char::from_u32(code).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::train_byte_level_bpe;
    use serde_json::{json, Value as Json};

    const QWEN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    const LLAMA: &str =
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    const TEKKEN: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    fn tokenizer(pre_tokenizers: Json) -> Tokenizer {
        let texts = ["The lung's nodule; the liver's cyst.", "Größe 3,5 µm, 12345 \n\n  the lung", "肺炎 رئة don't I'LL"];
        let trained = train_byte_level_bpe(&texts, &["<|im_start|>", "<|im_end|>"], 330).unwrap();
        let mut value: Json = serde_json::from_str(&trained).unwrap();
        value["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": pre_tokenizers});
        Tokenizer::from_bytes(value.to_string().as_bytes()).unwrap()
    }

    fn split(pattern: &str) -> Json {
        json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false})
    }

    fn byte_level(use_regex: bool) -> Json {
        json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": use_regex})
    }

    #[test]
    fn any_text_gives_the_ids_and_offsets_of_the_library() {
        let kinds = [
            json!([split(QWEN), byte_level(false)]),
            json!([split(LLAMA), byte_level(false)]),
            json!([split(TEKKEN), byte_level(false)]),
            json!([byte_level(true)]),
            json!([{"type": "Digits", "individual_digits": true}, byte_level(true)]),
            json!([{"type": "Digits", "individual_digits": false}, byte_level(true)]),
            json!([split(r"\p{L}+"), byte_level(false)]),
        ];
        #[rustfmt::skip]
        let bits = [
            " ", "  ", "\t", "\n", "\r\n", "\u{a0}", "\u{2003}", "\u{3000}", "\u{85}", "a", "lung", "The", "'s", "'LL", "'", "1", "23", "٣", "½", "é", "e\u{301}",
            "\u{301}", "ß", "µ", "ǅ", "肺", "رئة", "👩‍⚕️", ".", ",,", "/", "<|im_end|>", "<|im_", "\u{0}", "ſ", "\u{200b}", "\u{1680}",
        ];
        let mut state = 1u64;
        let mut next = |bound: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % bound
        };
        for kind in kinds {
            let tokenizer = tokenizer(kind.clone());
            let fast = ByteLevelBpe::of(&tokenizer).unwrap();
            let mut with_offsets = 0;
            for _ in 0..3000 {
                let text: String = (0..next(12)).map(|_| bits[next(bits.len())]).collect();
                let expected = tokenizer.encode(text.as_str(), false).unwrap();
                let (ids, _) = fast.encode(&tokenizer, &text, false).unwrap().unwrap();
                assert_eq!(ids, expected.get_ids(), "{text:?} {kind}");
                if let Some((ids, offsets)) = fast.encode(&tokenizer, &text, true).unwrap() {
                    assert_eq!((ids.as_slice(), offsets.as_slice()), (expected.get_ids(), expected.get_offsets()), "{text:?} {kind}");
                    with_offsets += 1;
                }
            }
            assert!(with_offsets > 1000);
        }
    }

    #[test]
    fn other_kinds_are_left_to_the_library() {
        for kind in [
            json!([split(r"\p{L}++|\s+(?!\S)|\s+"), byte_level(false)]),
            json!([split(r"\p{L}+(?=x)"), byte_level(false)]),
            json!([split(r"\p{L}*"), byte_level(false)]),
            json!([{"type": "Whitespace"}, byte_level(false)]),
            json!([byte_level(true), split(QWEN)]),
            json!([{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true}]),
        ] {
            assert!(ByteLevelBpe::of(&tokenizer(kind.clone())).is_none(), "{kind}");
        }
    }
}
