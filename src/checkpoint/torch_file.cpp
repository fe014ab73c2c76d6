#include "checkpoint/torch_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <string_view>

#include "base/error.h"
#include "checkpoint/safetensors_header.h"
#include "checkpoint/zip_archive.h"

namespace multimeditron {
namespace {

constexpr const char* kFetchAgain = "copy or download the file again, or take the model's safetensors file";
constexpr const char* kStateDict =
    "take the model's safetensors file, or have the state_dict saved alone: torch.save(model.state_dict(), FILE)";
constexpr size_t kMaxPickleBytes = 100'000'000;
constexpr size_t kSpareCopies = size_t{1} << 20;  // copies allowed beyond the file's own size
constexpr std::string_view kOldMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
constexpr int64_t kOldProtocol = 1001;

[[noreturn]] void malformed(const std::string& where, const std::string& found) {
  throw UserError("this PyTorch file is malformed", {.where = where, .found = found, .fix = kFetchAgain});
}

/// Elements of a tensor and the last one's place, or an error where they cannot be counted.
struct Extent {
  int64_t numel = 1, last = 0;
  bool is_contiguous = true;
};

Extent extent_of(const Pickle::Value& tensor, const std::string& where) {
  Extent extent{.last = tensor.integer};
  int64_t packed_stride = 1;
  bool overflow = false;
  for (size_t i = tensor.shape.size(); i-- > 0;) {
    const int64_t size = tensor.shape[i], stride = tensor.stride[i];
    int64_t reach = 0;
    overflow = overflow || __builtin_mul_overflow(extent.numel, size, &extent.numel) ||
               (size > 0 && (__builtin_mul_overflow(size - 1, stride, &reach) || __builtin_add_overflow(extent.last, reach, &extent.last)));
    extent.is_contiguous = extent.is_contiguous && (size == 1 || stride == packed_stride);
    overflow = overflow || __builtin_mul_overflow(packed_stride, std::max<int64_t>(size, 1), &packed_stride);
  }
  int64_t bytes = 0;
  if (overflow || __builtin_mul_overflow(extent.numel, static_cast<int64_t>(size_of(tensor.dtype)), &bytes))
    malformed(where, fmt::format("shape [{}], strides [{}], more bytes than can be counted", fmt::join(tensor.shape, ", "),
                                 fmt::join(tensor.stride, ", ")));
  return extent;
}

/// Writes the elements of a strided tensor one after the other.
void gather(const Pickle::Value& tensor, std::span<const std::byte> storage, std::byte* out) {
  const size_t width = size_of(tensor.dtype), dimensions = tensor.shape.size();
  std::vector<int64_t> index(dimensions, 0);
  int64_t place = tensor.integer;
  for (;;) {
    std::memcpy(out, storage.data() + static_cast<size_t>(place) * width, width);
    out += width;
    size_t i = dimensions;
    while (i > 0 && index[i - 1] == tensor.shape[i - 1] - 1) {
      place -= index[i - 1] * tensor.stride[i - 1];
      index[--i] = 0;
    }
    if (i == 0) return;
    ++index[i - 1];
    place += tensor.stride[i - 1];
  }
}

}  // namespace

TorchFileReader::TorchFileReader(const std::filesystem::path& file) : file_(file) {
  const std::string_view begin(reinterpret_cast<const char*>(file_.bytes().data()), file_.bytes().size());
  try {
    if (begin.starts_with("version https://git-lfs")) {
      throw UserError("this is not a PyTorch file",
                      {.found = "a Git LFS pointer, not the file itself", .fix = "run `git lfs pull` in the repository it came from"});
    }
    if (begin.starts_with("PK")) {
      open_zip();
    } else if (begin.starts_with("\x80")) {
      open_old();
    } else {
      throw UserError("this is not a PyTorch file",
                      {.found = begin.empty() ? "an empty file" : "neither a zip archive nor a pickle", .fix = kFetchAgain});
    }
  } catch (const UserError& error) {
    throw error.at(file.string());
  }
}

/// PREFIX/data.pkl beside one entry a storage, PREFIX/data/KEY.
void TorchFileReader::open_zip() {
  const auto entries = read_stored_zip(file_.bytes());
  const std::string kPickle = "/data.pkl";
  const auto pickle_entry = std::find_if(entries.begin(), entries.end(), [&](const auto& entry) {
    return entry.first.ends_with(kPickle) && entry.first.find('/') == entry.first.size() - kPickle.size();
  });
  if (pickle_entry == entries.end()) malformed("archive", "no data.pkl: not an archive that torch.save wrote");
  const std::string prefix = pickle_entry->first.substr(0, pickle_entry->first.size() - kPickle.size()) + "/";
  if (const auto order = entries.find(prefix + "byteorder"); order != entries.end()) {
    const std::string_view text(reinterpret_cast<const char*>(order->second.data()), order->second.size());
    if (text != "little") malformed("byteorder", fmt::format("{}; only little can be read", shown(std::string(text))));
  }
  if (pickle_entry->second.size() > kMaxPickleBytes)
    malformed("data.pkl", fmt::format("{} bytes, at most {} were expected", pickle_entry->second.size(), kMaxPickleBytes));

  Storages storages;
  for (const auto& [name, bytes] : entries) {
    if (name.starts_with(prefix + "data/")) storages.emplace(name.substr(prefix.size() + std::strlen("data/")), bytes);
  }
  Pickle pickle;
  size_t position = 0;
  add_all(pickle, pickle.run(pickle_entry->second, position), storages);
}

/// Pickles one after the other (a magic number, the protocol, sizes of the writer's types, the value, the storages' keys), then each
/// storage: its number of elements and its data.
void TorchFileReader::open_old() {
  const std::span<const std::byte> bytes = file_.bytes();
  Pickle pickle;
  size_t position = 0;
  const auto run = [&] { return pickle.run(bytes.first(std::min(bytes.size(), position + kMaxPickleBytes)), position); };
  if (pickle.at(run()).text != kOldMagic) malformed("beginning of the file", "a pickle that torch.save did not write");
  if (pickle.at(run()).integer != kOldProtocol) malformed("beginning of the file", "a protocol of torch.save other than 1001");
  const Pickle::Value& system = pickle.at(run());
  for (size_t i = 0; i + 1 < system.items.size(); i += 2) {
    if (pickle.at(system.items[i]).text == "little_endian" && pickle.at(system.items[i + 1]).integer == 0)
      malformed("beginning of the file", "big-endian numbers");
  }
  const uint32_t root = run();
  std::vector<std::string> keys;
  const Pickle::Value& list = pickle.at(run());
  for (const uint32_t item : list.items) keys.push_back(pickle.at(item).text);

  std::map<std::string, const Pickle::Value*> described;
  for (const Pickle::Value& value : pickle.values()) {
    if (value.kind == Pickle::Kind::kStorage) described.emplace(pickle.key_of(value), &value);
  }
  Storages storages;
  for (const std::string& key : keys) {
    const auto storage = described.find(key);
    if (storage == described.end()) malformed("storage " + shown(key), "data that no tensor uses");
    uint64_t numel = 0;
    const uint64_t expected = static_cast<uint64_t>(storage->second->integer), width = size_of(storage->second->dtype);
    const uint64_t rest = bytes.size() - position;
    if (rest < sizeof numel || (rest - sizeof numel) / width < expected) {
      throw UserError("this PyTorch file is truncated", {.where = "storage " + shown(key),
                                                         .found = fmt::format("{} bytes, its {} elements do not fit", rest, expected),
                                                         .fix = kFetchAgain});
    }
    std::memcpy(&numel, bytes.data() + position, sizeof numel);
    if (numel != expected) malformed("storage " + shown(key), fmt::format("{} elements where {} were expected", numel, expected));
    position += sizeof numel;
    storages.emplace(key, bytes.subspan(position, expected * width));
    position += expected * width;
  }
  add_all(pickle, root, storages);
}

void TorchFileReader::add_all(const Pickle& pickle, uint32_t root, const Storages& storages) {
  using Kind = Pickle::Kind;
  const auto refuse = [](const std::string& where, const std::string& found) {
    throw UserError("this PyTorch file holds something other than tensors", {.where = where, .found = found, .fix = kStateDict});
  };
  const Pickle::Value* dict = &pickle.at(root);
  if (dict->kind != Kind::kDict) refuse("", std::string(Pickle::to_string(dict->kind)) + " where a dictionary of tensors was expected");
  for (size_t i = 0; i < dict->items.size(); i += 2) {  // a training program's checkpoint, as open_clip's
    const bool is_state = pickle.at(dict->items[i]).text == "state_dict" && pickle.at(dict->items[i + 1]).kind == Kind::kDict;
    if (!is_state) continue;
    dict = &pickle.at(dict->items[i + 1]);
    break;
  }
  const std::string module = "module.";  // torch's DistributedDataParallel puts it in front of every name
  bool is_wrapped = !dict->items.empty();
  for (size_t i = 0; i < dict->items.size(); i += 2) is_wrapped = is_wrapped && pickle.at(dict->items[i]).text.starts_with(module);
  for (size_t i = 0; i < dict->items.size(); i += 2) {
    const Pickle::Value &key = pickle.at(dict->items[i]), &value = pickle.at(dict->items[i + 1]);
    if (key.kind != Kind::kString) refuse("", std::string(Pickle::to_string(key.kind)) + " where a tensor's name was expected");
    if (value.kind != Kind::kTensor)
      refuse("entry " + shown(key.text), std::string(Pickle::to_string(value.kind)) + " where a tensor was expected");
    add(is_wrapped ? key.text.substr(module.size()) : key.text, pickle, value, storages);
  }
}

void TorchFileReader::add(const std::string& name, const Pickle& pickle, const Pickle::Value& tensor, const Storages& storages) {
  const std::string where = "tensor " + shown(name);
  const Pickle::Value& storage = pickle.at(tensor.items[0]);
  const std::string& key = pickle.key_of(storage);
  const auto entry = storages.find(key);
  if (entry == storages.end()) malformed(where, "no storage " + shown(key));
  const size_t width = size_of(tensor.dtype);
  const std::span<const std::byte> bytes = entry->second;
  if (bytes.size() / width != static_cast<uint64_t>(storage.integer) || bytes.size() % width != 0)
    malformed(where, fmt::format("a storage of {} bytes where {} elements of {} were expected", bytes.size(), storage.integer,
                                 to_string(tensor.dtype)));
  const Extent extent = extent_of(tensor, where);
  if (extent.numel > 0 && extent.last >= storage.integer)
    malformed(where, fmt::format("elements up to number {} of a storage of {} (offset {}, shape [{}], strides [{}])", extent.last,
                                 storage.integer, tensor.integer, fmt::join(tensor.shape, ", "), fmt::join(tensor.stride, ", ")));

  const size_t size = static_cast<size_t>(extent.numel) * width;
  TensorView view{tensor.dtype, tensor.shape, {}};
  if (extent.numel > 0 && extent.is_contiguous) view.bytes = bytes.subspan(static_cast<size_t>(tensor.integer) * width, size);
  if (extent.numel > 0 && (!extent.is_contiguous || reinterpret_cast<uintptr_t>(view.bytes.data()) % width != 0)) {
    std::byte* copy = copy_space(where, size);
    if (extent.is_contiguous) {
      std::memcpy(copy, view.bytes.data(), size);
    } else {
      gather(tensor, bytes, copy);
    }
    view.bytes = {copy, size};
  }
  tensors_.insert_or_assign(name, std::move(view));
}

std::byte* TorchFileReader::copy_space(const std::string& where, size_t size) {
  const size_t limit = file_.bytes().size() + kSpareCopies - copied_;
  if (size > limit) malformed(where, fmt::format("{} bytes out of a file of {}", size, file_.bytes().size()));
  copied_ += size;
  copies_.push_back(std::make_unique_for_overwrite<std::byte[]>(size));
  return copies_.back().get();
}

}  // namespace multimeditron
