//! The bridge between the C++ program and the Rust crates `tokenizers` and `minijinja`, as a C ABI (`bridge.h`).

mod byte_level;
mod chat_template;
mod ffi;
mod python;
mod tokenizer;
