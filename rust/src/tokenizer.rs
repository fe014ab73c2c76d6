//! Tokenizers as the Hugging Face library reads, applies, extends, trains and writes them.

use serde_json::{json, Value as Json};
use tokenizers::models::bpe::{BpeTrainerBuilder, BPE};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;
use tokenizers::{
    AddedToken, DecoderWrapper, ModelWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Tokenizer, TokenizerBuilder,
};

use crate::byte_level::ByteLevelBpe;

/// GPT-4's split as Qwen2 and Qwen3 use it: contractions, words with one leading sign, single digits, signs, line breaks, blanks.
const QWEN_SPLIT: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Byte ranges [start, end) of a text, one a token.
pub type Offsets = Vec<(usize, usize)>;

pub struct TokenFlags {
    pub single_word: bool,
    pub lstrip: bool,
    pub rstrip: bool,
    pub normalized: bool,
    pub special: bool,
}

pub struct BridgeTokenizer {
    tokenizer: Tokenizer,
    /// As the file has it; the one in `tokenizer` does not trim blanks from offsets.
    post_processor: Option<PostProcessorWrapper>,
    /// The short way to ids, for the kinds that have one.
    byte_level: Option<ByteLevelBpe>,
}

impl BridgeTokenizer {
    pub fn from_json(json: &[u8]) -> Result<Self, String> {
        let mut tokenizer = Tokenizer::from_bytes(json).map_err(|error| error.to_string())?;
        // transformers resets both before each call that does not ask for them
        tokenizer.with_truncation(None).map_err(|error| error.to_string())?;
        tokenizer.with_padding(None);
        let post_processor = tokenizer.get_post_processor().cloned();
        if let Some(original) = &post_processor {
            tokenizer.with_post_processor(Some(without_trimmed_offsets(original)?));
        }
        let byte_level = ByteLevelBpe::of(&tokenizer);
        Ok(Self { tokenizer, post_processor, byte_level })
    }

    pub fn size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// The largest id, which is `size() - 1` unless the ids have holes; -1 where there is no token.
    pub fn max_id(&self) -> i64 {
        self.tokenizer.get_vocab(true).into_values().map(i64::from).max().unwrap_or(-1)
    }

    /// Ids, and with `with_offsets` the byte range of the text that each comes from.
    pub fn encode(&self, text: &str, add_special_tokens: bool, with_offsets: bool) -> Result<(Vec<u32>, Offsets), String> {
        if let (Some(byte_level), false) = (&self.byte_level, add_special_tokens) {
            if let Some(tokens) = byte_level.encode(&self.tokenizer, text, with_offsets)? {
                return Ok(tokens);
            }
        }
        let encoding = if with_offsets {
            self.tokenizer.encode(text, add_special_tokens)
        } else {
            self.tokenizer.encode_fast(text, add_special_tokens)
        }
        .map_err(|error| error.to_string())?;
        let offsets = if with_offsets { encoding.get_offsets().to_vec() } else { Vec::new() };
        Ok((encoding.get_ids().to_vec(), offsets))
    }

    pub fn decode(&self, ids: &[u32], skip_special_tokens: bool) -> Result<String, String> {
        self.tokenizer.decode(ids, skip_special_tokens).map_err(|error| error.to_string())
    }

    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    pub fn token(&self, id: u32) -> Option<String> {
        self.tokenizer.id_to_token(id)
    }

    /// A JSON list of `{"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"}`, by id.
    pub fn added_tokens_json(&self) -> String {
        let mut tokens: Vec<_> = self.tokenizer.get_added_tokens_decoder().into_iter().collect();
        tokens.sort_by_key(|(id, _)| *id);
        let list: Vec<Json> = tokens
            .into_iter()
            .map(|(id, token)| {
                json!({"id": id, "content": token.content, "single_word": token.single_word, "lstrip": token.lstrip,
                       "rstrip": token.rstrip, "normalized": token.normalized, "special": token.special})
            })
            .collect();
        Json::from(list).to_string()
    }

    /// Adds a token, or gives the one of that content these flags. Returns its id.
    pub fn add_token(&mut self, content: &str, flags: &TokenFlags) -> Result<u32, String> {
        let token = AddedToken::from(content, flags.special)
            .single_word(flags.single_word)
            .lstrip(flags.lstrip)
            .rstrip(flags.rstrip)
            .normalized(flags.normalized);
        if flags.special { self.tokenizer.add_special_tokens([token]) } else { self.tokenizer.add_tokens([token]) }
            .map_err(|error| error.to_string())?;
        self.token_id(content).ok_or_else(|| "an empty text cannot be a token".to_string())
    }

    /// `tokenizer.json`, indented.
    pub fn to_json(&self) -> Result<String, String> {
        let mut tokenizer = self.tokenizer.clone();
        tokenizer.with_post_processor(self.post_processor.clone());
        tokenizer.to_string(true).map_err(|error| error.to_string())
    }
}

/// The same post-processor with `trim_offsets` off wherever it stands: borders between parts of a text need the whole range of a token.
fn without_trimmed_offsets(post_processor: &PostProcessorWrapper) -> Result<PostProcessorWrapper, String> {
    fn patch(value: &mut Json) {
        match value {
            Json::Object(map) => map.iter_mut().for_each(|(key, entry)| match key.as_str() {
                "trim_offsets" => *entry = Json::Bool(false),
                _ => patch(entry),
            }),
            Json::Array(list) => list.iter_mut().for_each(patch),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(post_processor).map_err(|error| error.to_string())?;
    patch(&mut value);
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// Trains a byte-level BPE of Qwen's kind and returns its `tokenizer.json`. The special tokens come after the learnt vocabulary,
/// and `vocab_size` counts them. The same texts give the same bytes.
pub fn train_byte_level_bpe(texts: &[&str], special_tokens: &[&str], vocab_size: usize) -> Result<String, String> {
    let smallest = 256 + special_tokens.len();
    if vocab_size < smallest {
        return Err(format!("vocab_size is {vocab_size}, but the 256 bytes and {} special tokens need {smallest}", special_tokens.len()));
    }
    let split = Split::new(SplitPattern::Regex(QWEN_SPLIT.to_string()), SplitDelimiterBehavior::Isolated, false)
        .map_err(|error| error.to_string())?;
    let byte_level = ByteLevel::new(false, false, false);
    let mut tokenizer =
        TokenizerBuilder::<ModelWrapper, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>::new()
            .with_model(BPE::default().into())
            .with_normalizer(Some(NFC.into()))
            .with_pre_tokenizer(Some(Sequence::new(vec![split.into(), byte_level.into()]).into()))
            .with_post_processor(Some(byte_level.into()))
            .with_decoder(Some(byte_level.into()))
            .build()
            .map_err(|error| error.to_string())?;
    let mut trainer = tokenizers::models::TrainerWrapper::from(
        BpeTrainerBuilder::new()
            .vocab_size(vocab_size - special_tokens.len())
            .show_progress(false)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build(),
    );
    tokenizer.train(&mut trainer, texts.iter()).map_err(|error| error.to_string())?;
    tokenizer.add_special_tokens(special_tokens.iter().map(|token| AddedToken::from(*token, true))).map_err(|error| error.to_string())?;
    tokenizer.to_string(true).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: &[&str] = &["The lung shows a nodule. The liver shows a cyst.", "Größe ≈ 3,5 µm; the lung, the liver, the lung."];
    const SPECIALS: &[&str] = &["<|endoftext|>", "<|im_start|>", "<|im_end|>"];

    fn small() -> BridgeTokenizer {
        BridgeTokenizer::from_json(train_byte_level_bpe(TEXTS, SPECIALS, 300).unwrap().as_bytes()).unwrap()
    }

    #[test]
    fn training_twice_gives_the_same_bytes() {
        assert_eq!(train_byte_level_bpe(TEXTS, SPECIALS, 300).unwrap(), train_byte_level_bpe(TEXTS, SPECIALS, 300).unwrap());
    }

    #[test]
    fn special_tokens_stand_behind_the_learnt_vocabulary() {
        let tokenizer = small();
        assert_eq!(tokenizer.size(), 300);
        assert_eq!(tokenizer.token_id("<|endoftext|>"), Some(297));
        assert_eq!(tokenizer.token_id("<|im_end|>"), Some(299));
    }

    #[test]
    fn any_text_survives_encoding_and_decoding() {
        let tokenizer = small();
        for text in ["", "a", "Größe ≈ 3,5 µm", "👩‍⚕️ 肺炎 رئة \u{0} \r\n\t x", "<|im_start|>user\nlung<|im_end|>"] {
            let (ids, _) = tokenizer.encode(text, false, false).unwrap();
            assert_eq!(tokenizer.decode(&ids, false).unwrap(), text);
        }
    }

    #[test]
    fn offsets_cover_the_text_without_gaps() {
        let tokenizer = small();
        let text = "  the lung \n<|im_start|>  x";
        let (ids, offsets) = tokenizer.encode(text, false, true).unwrap();
        assert_eq!(ids.len(), offsets.len());
        assert_eq!((offsets[0].0, offsets.last().unwrap().1), (0, text.len()));
        assert!(offsets.windows(2).all(|pair| pair[0].1 == pair[1].0));
    }

    #[test]
    fn an_added_token_takes_the_next_id_and_survives_saving() {
        let mut tokenizer = small();
        let flags = TokenFlags { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
        assert_eq!(tokenizer.add_token("<|image|>", &flags).unwrap(), 300);
        assert_eq!(tokenizer.add_token("<|image|>", &flags).unwrap(), 300);
        let json = tokenizer.to_json().unwrap();
        let again = BridgeTokenizer::from_json(json.as_bytes()).unwrap();
        assert_eq!(again.size(), 301);
        assert_eq!(again.encode("<|image|>", false, false).unwrap().0, [300]);
        assert_eq!(again.to_json().unwrap(), json);
    }

    #[test]
    fn a_vocabulary_below_the_bytes_is_refused() {
        assert!(train_byte_level_bpe(TEXTS, SPECIALS, 258).unwrap_err().contains("need 259"));
    }
}
