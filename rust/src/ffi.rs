//! The C ABI declared in `bridge.h`. Every entry catches panics; a failure leaves its message in thread-local storage.

use crate::chat_template::ChatTemplate;
use crate::tokenizer::{train_byte_level_bpe, BridgeTokenizer, TokenFlags};
use std::any::Any;
use std::cell::RefCell;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Once;

const OK: i32 = 0;
const ERROR: i32 = 1;
const PANIC: i32 = 2;

thread_local! {
    static LAST_ERROR: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Bytes owned by Rust until `mm_string_free`.
#[repr(C)]
pub struct MmString {
    data: *mut u8,
    size: usize,
    capacity: usize,
}

/// Text that the caller lends for the time of the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct MmText {
    data: *const u8,
    size: usize,
}

/// Token ids, and where asked for their byte offsets in the text; owned by Rust until `mm_encoding_free`.
#[repr(C)]
pub struct MmEncoding {
    ids: *mut u32,
    starts: *mut usize,
    ends: *mut usize,
    size: usize,
}

#[repr(C)]
pub struct MmTokenFlags {
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
    normalized: bool,
    special: bool,
}

fn guard(body: impl FnOnce() -> Result<(), String>) -> i32 {
    static SILENCE: Once = Once::new();
    if cfg!(not(test)) {
        SILENCE.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    }
    let (code, message) = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return OK,
        Ok(Err(message)) => (ERROR, message),
        Err(payload) => (PANIC, panic_message(payload.as_ref())),
    };
    LAST_ERROR.with(|last| *last.borrow_mut() = message);
    code
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    format!("internal fault: {}", text.unwrap_or("unknown"))
}

impl MmText {
    /// The caller guarantees that `data` points to `size` bytes (or is null with `size` 0).
    unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.size == 0 {
            return &[];
        }
        std::slice::from_raw_parts(self.data, self.size)
    }

    unsafe fn text<'a>(self) -> Result<&'a str, String> {
        std::str::from_utf8(self.bytes()).map_err(|error| format!("not valid UTF-8 at byte {}", error.valid_up_to()))
    }
}

fn give_string(text: String, out: *mut MmString) {
    let mut bytes = std::mem::ManuallyDrop::new(text.into_bytes());
    unsafe { out.write(MmString { data: bytes.as_mut_ptr(), size: bytes.len(), capacity: bytes.capacity() }) }
}

fn give_slice<T>(values: Vec<T>) -> *mut T {
    Box::into_raw(values.into_boxed_slice()).cast()
}

unsafe fn take_slice<T>(data: *mut T, size: usize) {
    if !data.is_null() {
        drop(Box::from_raw(std::ptr::slice_from_raw_parts_mut(data, size)));
    }
}

#[no_mangle]
pub extern "C" fn mm_last_error(out: *mut MmString) {
    give_string(LAST_ERROR.with(|last| last.borrow().clone()), out);
}

/// # Safety
/// `string` was filled by this library and is freed once.
#[no_mangle]
pub unsafe extern "C" fn mm_string_free(string: MmString) {
    if !string.data.is_null() {
        drop(Vec::from_raw_parts(string.data, string.size, string.capacity));
    }
}

/// # Safety
/// `encoding` was filled by this library and is freed once.
#[no_mangle]
pub unsafe extern "C" fn mm_encoding_free(encoding: MmEncoding) {
    take_slice(encoding.ids, encoding.size);
    take_slice(encoding.starts, encoding.size);
    take_slice(encoding.ends, encoding.size);
}

/// # Safety
/// Pointers are valid for the call.
#[no_mangle]
pub unsafe extern "C" fn mm_tokenizer_from_json(json: MmText, out: *mut *mut BridgeTokenizer) -> i32 {
    guard(|| {
        out.write(Box::into_raw(Box::new(BridgeTokenizer::from_json(json.bytes())?)));
        Ok(())
    })
}

/// # Safety
/// `tokenizer` was made by this library and is freed once.
#[no_mangle]
pub unsafe extern "C" fn mm_tokenizer_free(tokenizer: *mut BridgeTokenizer) {
    if !tokenizer.is_null() {
        drop(Box::from_raw(tokenizer));
    }
}

/// # Safety
/// Pointers are valid for the call.
#[no_mangle]
pub unsafe extern "C" fn mm_tokenizer_size(tokenizer: *const BridgeTokenizer, out: *mut usize) -> i32 {
    guard(|| {
        out.write((*tokenizer).size());
        Ok(())
    })
}

/// # Safety
/// Pointers are valid for the call.
#[no_mangle]
pub unsafe extern "C" fn mm_tokenizer_max_id(tokenizer: *const BridgeTokenizer, out: *mut i64) -> i32 {
    guard(|| {
        out.write((*tokenizer).max_id());
        Ok(())
    })
}

/// # Safety
/// Pointers are valid for the call.
#[no_mangle]
pub unsafe extern "C" fn mm_tokenizer_encode(
    tokenizer: *const BridgeTokenizer,
    text: MmText,
    add_special_tokens: bool,
    with_offsets: bool,
    out: *mut MmEncoding,
) -> i32 {
    guard(|| {
        let (ids, offsets) = (*tokenizer).encode(text.text()?, add_special_tokens, with_offsets)?;
        let size = ids.len();
        let (mut starts, mut ends) = (std::ptr::null_mut(), std::ptr::null_mut());
        if with_offsets {
            starts = give_slice(offsets.iter().map(|offset| offset.0).collect());
            ends = give_slice(offsets.iter().map(|offset| offset.1).collect());
        }
        out.write(MmEncoding { ids: give_slice(ids), starts, ends, size });
        Ok(())
    })
}

/// # Safety
/// Pointers are valid for the call; `ids` points to `size` ids.
#[no_mangle]
pub unsafe extern "C" fn mm_tokenizer_decode(
    tokenizer: *const BridgeTokenizer,
    ids: *const u32,
    size: usize,
    skip_special_tokens: bool,
    out: *mut MmString,
) -> i32 {
    guard(|| {
        let ids = if size == 0 { &[] } else { std::slice::from_raw_parts(ids, size) };
        give_string((*tokenizer).decode(ids, skip_special_tokens)?, out);
        Ok(())
    })
}

/// # Safety
/// Pointers are valid for the call.
#[no_mangle]
pub unsafe extern "C" fn mm_tokenizer_token_id(tokenizer: *const BridgeTokenizer, token: MmText, out: *mut i64) -> i32 {
    guard(|| {
        out.write(match std::str::from_utf8(token.bytes()) {
            Ok(token) => (*tokenizer).token_id(token).map_or(-1, i64::from),
            Err(_) => -1,
        });
        Ok(())
    })
}

/// # Safety
/// Pointers are valid for the call.
#[no_mangle]
pub unsafe extern "C" fn mm_tokenizer_token(tokenizer: *const BridgeTokenizer, id: u32, out: *mut MmString) -> i32 {
    guard(|| {
        give_string((*tokenizer).token(id).ok_or_else(|| format!("no token has the id {id}"))?, out);
        Ok(())
    })
}

/// # Safety
/// Pointers are valid for the call.
#[no_mangle]
pub unsafe extern "C" fn mm_tokenizer_added_tokens(tokenizer: *const BridgeTokenizer, out: *mut MmString) -> i32 {
    guard(|| {
        give_string((*tokenizer).added_tokens_json(), out);
        Ok(())
    })
}

/// # Safety
/// Pointers are valid for the call; nobody else uses `tokenizer` meanwhile.
#[no_mangle]
pub unsafe extern "C" fn mm_tokenizer_add_token(tokenizer: *mut BridgeTokenizer, token: MmText, flags: MmTokenFlags, out: *mut i64) -> i32 {
    guard(|| {
        let flags = TokenFlags {
            single_word: flags.single_word,
            lstrip: flags.lstrip,
            rstrip: flags.rstrip,
            normalized: flags.normalized,
            special: flags.special,
        };
        out.write(i64::from((*tokenizer).add_token(token.text()?, &flags)?));
        Ok(())
    })
}

/// # Safety
/// Pointers are valid for the call.
#[no_mangle]
pub unsafe extern "C" fn mm_tokenizer_to_json(tokenizer: *const BridgeTokenizer, out: *mut MmString) -> i32 {
    guard(|| {
        give_string((*tokenizer).to_json()?, out);
        Ok(())
    })
}

/// # Safety
/// Pointers are valid for the call; `texts` and `special_tokens` point to as many entries as stated.
#[no_mangle]
pub unsafe extern "C" fn mm_train_byte_level_bpe(
    texts: *const MmText,
    num_texts: usize,
    special_tokens: *const MmText,
    num_special_tokens: usize,
    vocab_size: usize,
    out: *mut MmString,
) -> i32 {
    guard(|| {
        let collect =
            |entries: *const MmText, count: usize| -> Result<Vec<&str>, String> { (0..count).map(|i| (*entries.add(i)).text()).collect() };
        let json = train_byte_level_bpe(&collect(texts, num_texts)?, &collect(special_tokens, num_special_tokens)?, vocab_size)?;
        give_string(json, out);
        Ok(())
    })
}

/// # Safety
/// Pointers are valid for the call.
#[no_mangle]
pub unsafe extern "C" fn mm_template_compile(source: MmText, out: *mut *mut ChatTemplate) -> i32 {
    guard(|| {
        out.write(Box::into_raw(Box::new(ChatTemplate::compile(source.text()?)?)));
        Ok(())
    })
}

/// # Safety
/// `template` was made by this library and is freed once.
#[no_mangle]
pub unsafe extern "C" fn mm_template_free(template: *mut ChatTemplate) {
    if !template.is_null() {
        drop(Box::from_raw(template));
    }
}

/// # Safety
/// Pointers are valid for the call.
#[no_mangle]
pub unsafe extern "C" fn mm_template_render(template: *const ChatTemplate, context_json: MmText, now: MmText, out: *mut MmString) -> i32 {
    guard(|| {
        give_string((*template).render(context_json.text()?, now.text()?)?, out);
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_code_and_a_message() {
        assert_eq!(guard(|| panic!("index {} is out of range", 7)), PANIC);
        assert!(LAST_ERROR.with(|last| last.borrow().contains("index 7 is out of range")));
    }

    #[test]
    fn a_failure_becomes_a_code_and_a_message() {
        let mut tokenizer = std::ptr::null_mut();
        let json = "{\"model\": 1}";
        let code = unsafe { mm_tokenizer_from_json(MmText { data: json.as_ptr(), size: json.len() }, &mut tokenizer) };
        assert_eq!(code, ERROR);
        assert!(!LAST_ERROR.with(|last| last.borrow().is_empty()));
        assert!(tokenizer.is_null());
    }

    #[test]
    fn text_that_is_not_utf8_names_the_byte() {
        let bytes = b"ab\xff";
        let error = unsafe { MmText { data: bytes.as_ptr(), size: 3 }.text() }.unwrap_err();
        assert_eq!(error, "not valid UTF-8 at byte 2");
    }
}
