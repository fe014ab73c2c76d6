#include "checkpoint/pickle.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/error.h"
#include "checkpoint/safetensors_header.h"

namespace multimeditron {
namespace {

constexpr size_t kMaxValues = size_t{1} << 21;
constexpr size_t kMaxDimensions = 64;  // LibTorch's own limit

enum Function : int64_t { kOrderedDict, kRebuildTensor, kRebuildParameter };

struct Name {
  const char *module, *name;
  Pickle::Kind kind;
  int64_t function;
  DType dtype;
};

constexpr Pickle::Kind kFunction = Pickle::Kind::kFunction, kStorageClass = Pickle::Kind::kStorageClass;
constexpr Name kNames[] = {
    {"collections", "OrderedDict", kFunction, kOrderedDict, DType::kF32},
    {"torch._utils", "_rebuild_tensor_v2", kFunction, kRebuildTensor, DType::kF32},
    {"torch._utils", "_rebuild_parameter", kFunction, kRebuildParameter, DType::kF32},
    {"torch", "DoubleStorage", kStorageClass, 0, DType::kF64},
    {"torch", "FloatStorage", kStorageClass, 0, DType::kF32},
    {"torch", "HalfStorage", kStorageClass, 0, DType::kF16},
    {"torch", "BFloat16Storage", kStorageClass, 0, DType::kBF16},
    {"torch", "LongStorage", kStorageClass, 0, DType::kI64},
    {"torch", "IntStorage", kStorageClass, 0, DType::kI32},
    {"torch", "ShortStorage", kStorageClass, 0, DType::kI16},
    {"torch", "CharStorage", kStorageClass, 0, DType::kI8},
    {"torch", "ByteStorage", kStorageClass, 0, DType::kU8},
    {"torch", "BoolStorage", kStorageClass, 0, DType::kBool},
};

}  // namespace

const char* Pickle::to_string(Kind kind) {
  switch (kind) {
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return "a boolean";
    case Kind::kInteger:
      return "an integer";
    case Kind::kFloat:
      return "a number";
    case Kind::kString:
      return "a string";
    case Kind::kTuple:
      return "a tuple";
    case Kind::kList:
      return "a list";
    case Kind::kDict:
      return "a dictionary";
    case Kind::kFunction:
      return "a function";
    case Kind::kStorageClass:
      return "a class";
    case Kind::kStorage:
      return "a storage";
    case Kind::kTensor:
      return "a tensor";
  }
  return "";
}

uint32_t Pickle::run(std::span<const std::byte> bytes, size_t& position) {
  bytes_ = bytes;
  position_ = position;
  stack_.clear();
  marks_.clear();
  memo_.clear();
  constexpr unsigned char kStop = '.';
  for (;;) {
    operation_ = position_;
    const auto operation = static_cast<unsigned char>(number(1));
    if (operation == kStop) break;
    step(operation);
  }
  const uint32_t result = pop();
  if (!stack_.empty() || !marks_.empty()) malformed("values left over at its end");
  position = position_;
  return result;
}

void Pickle::step(unsigned char operation) {
  const auto sequence = [&](Kind kind, std::vector<uint32_t> items) { push({.kind = kind, .items = std::move(items)}); };
  const auto tuple = [&](size_t count) {
    std::vector<uint32_t> items(count);
    for (size_t i = count; i-- > 0;) items[i] = pop();
    sequence(Kind::kTuple, std::move(items));
  };
  switch (operation) {
    case 0x80:  // PROTO
      if (number(1) > 5) malformed("a protocol of the future");
      break;
    case 0x95:  // FRAME
      number(8);
      break;
    case '(':
      marks_.push_back(stack_.size());
      break;
    case '0':  // POP
      pop();
      break;
    case 'N':
      push({});
      break;
    case 0x88:  // NEWTRUE
    case 0x89:  // NEWFALSE
      push({.kind = Kind::kBool, .integer = operation == 0x88});
      break;
    case 'J':  // BININT
      push({.kind = Kind::kInteger, .integer = static_cast<int32_t>(number(4))});
      break;
    case 'K':
      push({.kind = Kind::kInteger, .integer = static_cast<int64_t>(number(1))});
      break;
    case 'M':
      push({.kind = Kind::kInteger, .integer = static_cast<int64_t>(number(2))});
      break;
    case 0x8a: {  // LONG1
      const std::string digits = text(number(1));
      int64_t value = 0;
      if (digits.size() > sizeof value) {
        push({.kind = Kind::kInteger, .integer = -1, .text = digits});  // the magic number of old files; as a size or place it is refused
        break;
      }
      if (!digits.empty() && (digits.back() & 0x80) != 0) value = -1;  // sign
      std::memcpy(&value, digits.data(), digits.size());
      push({.kind = Kind::kInteger, .integer = value});
      break;
    }
    case 'G':  // BINFLOAT
      take(8);
      push({.kind = Kind::kFloat});  // no tensor needs its value
      break;
    case 'X':  // BINUNICODE
    case 'T':  // BINSTRING, of Python 2
      push({.kind = Kind::kString, .text = text(number(4))});
      break;
    case 'U':   // SHORT_BINSTRING, of Python 2
    case 0x8c:  // SHORT_BINUNICODE
      push({.kind = Kind::kString, .text = text(number(1))});
      break;
    case ')':
      sequence(Kind::kTuple, {});
      break;
    case 't':
      sequence(Kind::kTuple, pop_to_mark());
      break;
    case 0x85:  // TUPLE1, 2, 3
    case 0x86:
    case 0x87:
      tuple(operation - 0x84u);
      break;
    case ']':
      sequence(Kind::kList, {});
      break;
    case '}':
      sequence(Kind::kDict, {});
      break;
    case 'a':
    case 'e': {  // APPEND, APPENDS
      const std::vector<uint32_t> items = operation == 'e' ? pop_to_mark() : std::vector<uint32_t>{pop()};
      if (stack_.empty() || at(stack_.back()).kind != Kind::kList) malformed("an addition to what is no list");
      std::vector<uint32_t>& list = values_[stack_.back()].items;
      list.insert(list.end(), items.begin(), items.end());
      break;
    }
    case 's': {  // SETITEM
      const uint32_t value = pop(), key = pop();
      set_items({key, value});
      break;
    }
    case 'u':
      set_items(pop_to_mark());
      break;
    case 'c': {  // GLOBAL
      const std::string module = line();
      global(module, line());
      break;
    }
    case 0x93: {  // STACK_GLOBAL
      const uint32_t name = pop(), module = pop();
      if (at(name).kind != Kind::kString || at(module).kind != Kind::kString) malformed("a name that is no string");
      global(at(module).text, at(name).text);
      break;
    }
    case 'R':
      reduce();
      break;
    case 'Q':  // BINPERSID
      storage();
      break;
    case 'b': {  // BUILD: a state_dict's versions, in an attribute; not needed
      const uint32_t state = pop();
      if (stack_.empty() || at(stack_.back()).kind != Kind::kDict || at(state).kind != Kind::kDict)
        foreign("attributes set on an object other than a dictionary");
      break;
    }
    case 'q':
      memorise(number(1));
      break;
    case 'r':
      memorise(number(4));
      break;
    case 0x94:  // MEMOIZE
      memorise(memo_.size());
      break;
    case 'h':
      recall(number(1));
      break;
    case 'j':
      recall(number(4));
      break;
    case 0x81:  // NEWOBJ
    case 0x92:  // NEWOBJ_EX
    case 'i':
    case 'o':
      foreign("the construction of an object of some class");
    default:
      foreign(fmt::format("operation 0x{:02x} of the pickle, which no tensor needs", operation));
  }
}

void Pickle::global(const std::string& module, const std::string& name) {
  const auto* const known =
      std::find_if(std::begin(kNames), std::end(kNames), [&](const Name& entry) { return module == entry.module && name == entry.name; });
  if (known == std::end(kNames)) foreign(fmt::format("the Python object {}.{}", shown(module), shown(name)));
  push({.kind = known->kind, .dtype = known->dtype, .integer = known->function});
}

void Pickle::reduce() {
  const uint32_t tuple = pop(), function = pop();
  if (at(function).kind != Kind::kFunction) foreign(fmt::format("a call of {}", to_string(at(function).kind)));
  if (at(tuple).kind != Kind::kTuple) malformed("a call without a tuple of arguments");
  const std::vector<uint32_t> arguments = at(tuple).items;
  switch (at(function).integer) {
    case kOrderedDict:
      if (!arguments.empty()) foreign("an OrderedDict made of something");
      push({.kind = Kind::kDict});
      break;
    case kRebuildTensor:
      tensor(arguments);
      break;
    default:  // (data, requires_grad, hooks)
      if (arguments.size() != 3 || at(arguments[0]).kind != Kind::kTensor) malformed("a parameter that is no tensor");
      stack_.push_back(arguments[0]);
  }
}

/// ("storage", class, key, location, number of elements), and in old files a view of another one, which torch no longer writes.
void Pickle::storage() {
  const uint32_t id = pop();
  const std::vector<uint32_t>& parts = at(id).items;
  const auto is = [&](size_t i, Kind kind) { return at(parts[i]).kind == kind; };
  const bool known = at(id).kind == Kind::kTuple && (parts.size() == 5 || (parts.size() == 6 && is(5, Kind::kNone))) &&
                     is(0, Kind::kString) && at(parts[0]).text == "storage" && is(1, Kind::kStorageClass) && is(2, Kind::kString) &&
                     is(4, Kind::kInteger) && at(parts[4]).integer >= 0;
  if (!known) malformed("a storage that is not described as torch describes it");
  push({.kind = Kind::kStorage, .dtype = at(parts[1]).dtype, .integer = at(parts[4]).integer, .items = {parts[2]}});
}

/// (storage, offset, shape, stride, requires_grad, hooks[, metadata])
void Pickle::tensor(const std::vector<uint32_t>& arguments) {
  if (arguments.size() < 6 || arguments.size() > 7 || at(arguments[0]).kind != Kind::kStorage) malformed("a tensor without a storage");
  const auto sizes = [&](uint32_t number) {
    std::vector<int64_t> sizes;
    if (at(number).kind != Kind::kTuple || at(number).items.size() > kMaxDimensions) malformed("a shape or stride that is none");
    for (const uint32_t item : at(number).items) {
      if (at(item).kind != Kind::kInteger || at(item).integer < 0) malformed("a shape or stride that is none");
      sizes.push_back(at(item).integer);
    }
    return sizes;
  };
  Value value{.kind = Kind::kTensor, .dtype = at(arguments[0]).dtype, .integer = at(arguments[1]).integer, .items = {arguments[0]}};
  value.shape = sizes(arguments[2]);
  value.stride = sizes(arguments[3]);
  if (at(arguments[1]).kind != Kind::kInteger || value.integer < 0) malformed("a tensor's offset that is none");
  num_dimensions_ += value.shape.size();
  if (num_dimensions_ > kMaxValues) malformed(fmt::format("tensors of more than {} dimensions in all", kMaxValues));
  if (value.shape.size() != value.stride.size()) malformed("a tensor of as many strides as it has dimensions was expected");
  push(std::move(value));
}

void Pickle::set_items(const std::vector<uint32_t>& items) {
  if (stack_.empty() || at(stack_.back()).kind != Kind::kDict || items.size() % 2 != 0) malformed("an entry for what is no dictionary");
  std::vector<uint32_t>& dict = values_[stack_.back()].items;
  dict.insert(dict.end(), items.begin(), items.end());
}

uint32_t Pickle::add(Value value) {
  if (values_.size() >= kMaxValues) malformed(fmt::format("more than {} values", kMaxValues));
  values_.push_back(std::move(value));
  return static_cast<uint32_t>(values_.size() - 1);
}

uint32_t Pickle::pop() {
  if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) malformed("a value taken where there is none");
  const uint32_t top = stack_.back();
  stack_.pop_back();
  return top;
}

std::vector<uint32_t> Pickle::pop_to_mark() {
  if (marks_.empty()) malformed("a mark taken where there is none");
  const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
  std::vector<uint32_t> items(first, stack_.end());
  stack_.erase(first, stack_.end());
  marks_.pop_back();
  return items;
}

void Pickle::memorise(uint64_t number) {
  if (stack_.empty()) malformed("a value taken where there is none");
  if (number >= kMaxValues) malformed(fmt::format("a value kept under a number of {} or more", kMaxValues));  // torch counts from 0
  if (number >= memo_.size()) memo_.resize(number + 1, kNothing);
  memo_[number] = stack_.back();
}

void Pickle::recall(uint64_t number) {
  if (number >= memo_.size() || memo_[number] == kNothing) malformed("a reference to nothing");
  stack_.push_back(memo_[number]);
}

std::span<const std::byte> Pickle::take(uint64_t count) {
  if (count > bytes_.size() - position_) {
    throw UserError("this PyTorch file is truncated",
                    {.where = fmt::format("pickle, byte {}", operation_),
                     .found = fmt::format("{} bytes where {} more were expected", bytes_.size() - position_, count),
                     .fix = "copy or download the file again"});
  }
  const std::span<const std::byte> taken = bytes_.subspan(position_, count);
  position_ += count;
  return taken;
}

uint64_t Pickle::number(size_t width) {
  static_assert(std::endian::native == std::endian::little);
  uint64_t value = 0;
  std::memcpy(&value, take(width).data(), width);
  return value;
}

std::string Pickle::text(uint64_t length) {
  const std::span<const std::byte> taken = take(length);
  return {reinterpret_cast<const char*>(taken.data()), taken.size()};
}

std::string Pickle::line() {
  const auto rest = bytes_.subspan(position_);
  const auto end = std::find(rest.begin(), rest.end(), std::byte{'\n'});
  const std::string result = text(static_cast<uint64_t>(end - rest.begin()));
  take(1);
  return result;
}

void Pickle::malformed(const std::string& found) const {
  throw UserError("this PyTorch file is malformed", {.where = fmt::format("pickle, byte {}", operation_),
                                                     .found = found,
                                                     .fix = "copy or download the file again, or take the model's safetensors file"});
}

void Pickle::foreign(const std::string& found) const {
  throw UserError("this PyTorch file holds something other than tensors",
                  {.where = fmt::format("pickle, byte {}", operation_),
                   .found = found + "; nothing was executed",
                   .fix = "take the model's safetensors file, or have the state_dict saved alone: torch.save(model.state_dict(), FILE)"});
}

}  // namespace multimeditron
