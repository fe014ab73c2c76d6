#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/safetensors.h"

namespace multimeditron {

/// The tensors' part of a Python pickle, which is a program: this machine knows the operations that build numbers, strings, tuples, lists,
/// dictionaries and tensors, and the three functions and ten storage classes that torch.save names for them. It refuses every other
/// operation and every other name at once, so that nothing is imported, constructed or called. Values lie in one arena and refer to each
/// other by number: nesting costs no stack, cycles leak nothing, and memory is bounded by the length of the pickle.
class Pickle {
 public:
  enum class Kind { kNone, kBool, kInteger, kFloat, kString, kTuple, kList, kDict, kFunction, kStorageClass, kStorage, kTensor };

  struct Value {
    Kind kind = Kind::kNone;
    DType dtype = DType::kF32;    ///< kStorageClass, kStorage
    int64_t integer = 0;          ///< kBool, kInteger; kFunction: which; kStorage: its number of elements; kTensor: offset in its storage
    std::string text;             ///< kString; an integer of more than 64 bits: its little-endian bytes
    std::vector<uint32_t> items;  ///< kTuple, kList; kDict: key, value, key, value ...; kStorage: its key; kTensor: its storage
    std::vector<int64_t> shape, stride;  ///< kTensor
  };

  /// Runs one pickle that begins at `position` of `bytes` and moves `position` behind it. Returns the number of its value. Throws UserError
  /// without the file's name for what is truncated, malformed, or not part of tensors.
  uint32_t run(std::span<const std::byte> bytes, size_t& position);
  const Value& at(uint32_t number) const { return values_[number]; }
  const std::string& key_of(const Value& storage) const { return at(storage.items[0]).text; }
  std::span<const Value> values() const { return values_; }
  static const char* to_string(Kind kind);

 private:
  uint32_t add(Value value);
  void push(Value value) { stack_.push_back(add(std::move(value))); }
  uint32_t pop();
  /// What lies above the last mark.
  std::vector<uint32_t> pop_to_mark();
  void step(unsigned char operation);
  void global(const std::string& module, const std::string& name);
  void reduce();
  void storage();
  void tensor(const std::vector<uint32_t>& arguments);
  void set_items(const std::vector<uint32_t>& items);
  void memorise(uint64_t number);
  void recall(uint64_t number);
  [[noreturn]] void malformed(const std::string& found) const;
  [[noreturn]] void foreign(const std::string& found) const;

  std::span<const std::byte> take(uint64_t count);
  uint64_t number(size_t width);
  std::string text(uint64_t length);
  std::string line();

  std::span<const std::byte> bytes_;
  size_t position_ = 0, operation_ = 0, num_dimensions_ = 0;
  static constexpr uint32_t kNothing = UINT32_MAX;
  std::vector<Value> values_;
  std::vector<uint32_t> stack_;
  std::vector<size_t> marks_;
  std::vector<uint32_t> memo_;  ///< by number, kNothing where there is none
};

}  // namespace multimeditron
