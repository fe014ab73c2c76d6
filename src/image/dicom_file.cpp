#include "image/dicom_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <map>
#include <string_view>

#include "image/codec.h"
#include "image/dicom_elements.h"
#include "image/inflate.h"

namespace multimeditron {
namespace {

const char* const kKind = "DICOM";
constexpr uint32_t kPixelData = dicom_tag(0x7fe0, 0x0010), kFloatPixelData = dicom_tag(0x7fe0, 0x0008),
                   kDoublePixelData = dicom_tag(0x7fe0, 0x0009);

using Walker = DicomWalker;
using Element = DicomElement;
using Codec = DicomSyntax::Codec;

/// Transfer syntaxes by UID.
const std::map<std::string, DicomSyntax>& syntaxes() {
  static const std::map<std::string, DicomSyntax> known = [] {
    const std::string root = "1.2.840.10008.1.2";
    std::map<std::string, DicomSyntax> result = {{root, {}},
                                                 {root + ".1", {.is_explicit = true}},
                                                 {root + ".1.99", {.is_explicit = true, .is_deflated = true}},
                                                 {root + ".2", {.is_explicit = true, .is_big_endian = true}},
                                                 {root + ".5", {.is_explicit = true, .codec = Codec::kRle}}};
    for (const char* jpeg : {".4.50", ".4.51", ".4.53", ".4.55", ".4.57", ".4.70"})
      result[root + jpeg] = {.is_explicit = true, .codec = Codec::kJpeg};
    for (const char* jpeg_ls : {".4.80", ".4.81"}) result[root + jpeg_ls] = {.is_explicit = true, .codec = Codec::kJpegLs};
    for (const char* jpeg_2000 : {".4.90", ".4.91"}) result[root + jpeg_2000] = {.is_explicit = true, .codec = Codec::kJpeg2000};
    return result;
  }();
  return known;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kPadding{" \0\t", 3};
  const size_t first = text.find_first_not_of(kPadding);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kPadding) - first + 1);
}

/// The backslash-separated numbers of a DS or IS; what is no number is left out, and what follows it.
std::vector<double> numbers_of(std::string_view text) {
  std::vector<double> numbers;
  while (true) {
    std::string_view one = trimmed(text.substr(0, text.find('\\')));
    if (one.starts_with('+')) one.remove_prefix(1);
    double value = 0;
    const auto [end, error] = std::from_chars(one.data(), one.data() + one.size(), value);
    if (error != std::errc() || end != one.data() + one.size() || !std::isfinite(value)) return numbers;
    numbers.push_back(value);
    if (text.find('\\') == std::string_view::npos) return numbers;
    text.remove_prefix(text.find('\\') + 1);
  }
}

/// Fills a DicomFile from the elements that it needs.
class FileReader {
 public:
  FileReader(const Walker& walker, int64_t frame, DicomFile& file) : walker_(walker), frame_(frame), file_(file) {}

  void read(bool with_pixels) {
    const size_t end = walker_.bytes().size();
    walker_.for_each_element(0, end, 0, [&](const Element& element) -> std::optional<size_t> {
      const bool holds_pixels = element.tag == kPixelData || element.tag == kFloatPixelData || element.tag == kDoublePixelData;
      if (holds_pixels) {
        if (with_pixels) read_pixels(element);
        return end;  // what follows is padding and signatures
      }
      if (!with_pixels && element.tag > kPixelData) return end;
      return top_element(element, end);
    });
    finish();
  }

 private:
  std::span<const std::byte> value(const Element& element, size_t end) const {
    return walker_.bytes().subspan(element.begin, walker_.after(element, end) - element.begin);
  }
  std::string_view text(const Element& element, size_t end) const {
    const auto bytes = value(element, end);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  /// US or UL, whichever the length says.
  std::optional<int64_t> whole(const Element& element, size_t end) const {
    const auto bytes = value(element, end);
    if (bytes.size() == 2 || bytes.size() == 4) return static_cast<int64_t>(little_or_big(bytes, 0, bytes.size(), walker_.is_big_endian()));
    if (bytes.size() > 4) return static_cast<int64_t>(little_or_big(bytes, 0, 2, walker_.is_big_endian()));
    return std::nullopt;
  }
  /// A number of bits, or the place of one in a sample.
  int bits(const Element& element, size_t end) const {
    constexpr int64_t kMost = 64;
    const int64_t bits = whole(element, end).value_or(0);
    if (bits > kMost) throw corrupt_image(kKind, fmt::format("a sample of more than {} bits", kMost));
    return static_cast<int>(bits);
  }
  std::optional<double> first_number(const Element& element, size_t end) const {
    const std::vector<double> numbers = numbers_of(text(element, end));
    return numbers.empty() ? std::nullopt : std::optional(numbers.front());
  }

  struct RawTable {
    std::array<int64_t, 3> descriptor{};
    bool has_descriptor = false, is_signed_descriptor = false;
    std::span<const std::byte> data, segmented;
  };

  std::optional<size_t> top_element(const Element& element, size_t end) {
    switch (element.tag) {
      case dicom_tag(0x0020, 0x000e):
        file_.series = std::string(trimmed(text(element, end)));
        break;
      case dicom_tag(0x0020, 0x0013):
        file_.number = first_number(element, end);
        break;
      case dicom_tag(0x0020, 0x0032):
        read_array(element, end, file_.position);
        break;
      case dicom_tag(0x0020, 0x0037):
        read_array(element, end, file_.orientation);
        break;
      case dicom_tag(0x0028, 0x0002):
        file_.samples_per_pixel = static_cast<int>(whole(element, end).value_or(1));
        break;
      case dicom_tag(0x0028, 0x0004):
        file_.photometric = std::string(trimmed(text(element, end)));
        break;
      case dicom_tag(0x0028, 0x0006):
        file_.is_planar = whole(element, end).value_or(0) == 1;
        break;
      case dicom_tag(0x0028, 0x0008):
        read_frames(element, end);
        break;
      case dicom_tag(0x0028, 0x0010):
        file_.rows = whole(element, end).value_or(0);
        break;
      case dicom_tag(0x0028, 0x0011):
        file_.columns = whole(element, end).value_or(0);
        break;
      case dicom_tag(0x0028, 0x0100):
        file_.bits_allocated = bits(element, end);
        break;
      case dicom_tag(0x0028, 0x0101):
        file_.bits_stored = bits(element, end);
        break;
      case dicom_tag(0x0028, 0x0102):
        high_bit_ = bits(element, end);
        break;
      case dicom_tag(0x0028, 0x0103):
        file_.is_signed = whole(element, end).value_or(0) == 1;
        break;
      case dicom_tag(0x0028, 0x1101):
      case dicom_tag(0x0028, 0x1102):
      case dicom_tag(0x0028, 0x1103):
        read_descriptor(element, end, palette_[element.tag - dicom_tag(0x0028, 0x1101)]);
        break;
      case dicom_tag(0x0028, 0x1201):
      case dicom_tag(0x0028, 0x1202):
      case dicom_tag(0x0028, 0x1203):
        palette_[element.tag - dicom_tag(0x0028, 0x1201)].data = value(element, end);
        break;
      case dicom_tag(0x0028, 0x1221):
      case dicom_tag(0x0028, 0x1222):
      case dicom_tag(0x0028, 0x1223):
        palette_[element.tag - dicom_tag(0x0028, 0x1221)].segmented = value(element, end);
        break;
      case dicom_tag(0x0028, 0x3000):
        return read_table(element, end, 0, modality_table_);
      case dicom_tag(0x0028, 0x3010):
        return read_table(element, end, 0, voi_table_);
      case dicom_tag(0x7fe0, 0x0001):
        extended_offsets_ = value(element, end);
        break;
      case dicom_tag(0x5200, 0x9229):
        return read_groups(element, end, /*only=*/0);
      case dicom_tag(0x5200, 0x9230):
        return read_groups(element, end, frame_);
      default:
        grey_element(element, end);
    }
    return std::nullopt;
  }

  /// Rescaling and windows: at the top of a data set, or for each frame in an enhanced one.
  void grey_element(const Element& element, size_t end) {
    switch (element.tag) {
      case dicom_tag(0x0028, 0x1050):
        file_.centre = first_number(element, end);
        break;
      case dicom_tag(0x0028, 0x1051):
        file_.width = first_number(element, end);
        break;
      case dicom_tag(0x0028, 0x1052):
        file_.intercept = first_number(element, end);
        break;
      case dicom_tag(0x0028, 0x1053):
        file_.slope = first_number(element, end);
        break;
      case dicom_tag(0x0028, 0x1056):
        file_.voi_function = std::string(trimmed(text(element, end)));
        break;
      default:
        break;
    }
  }

  /// The functional groups of enhanced files: item `only` of the shared (0) or the frames' ones.
  size_t read_groups(const Element& groups, size_t end, int64_t only) {
    return walker_.for_each_item(groups, end, 1, [&](size_t begin, size_t stop, int64_t index) {
      if (index != only) return;
      walker_.for_each_element(begin, stop, 2, [&](const Element& group) -> std::optional<size_t> {
        const bool is_grey = group.tag == dicom_tag(0x0028, 0x9145) || group.tag == dicom_tag(0x0028, 0x9132);  // value transformation, VOI
        if (!is_grey) return std::nullopt;
        return walker_.for_each_item(group, stop, 3, [&](size_t first, size_t last, int64_t item) {
          if (item > 0) return;
          walker_.for_each_element(first, last, 4, [&](const Element& element) -> std::optional<size_t> {
            if (!element.is_undefined()) grey_element(element, last);
            return std::nullopt;
          });
        });
      });
    });
  }

  size_t read_table(const Element& sequence, size_t end, int depth, RawTable& table) {
    return walker_.for_each_item(sequence, end, depth + 1, [&](size_t begin, size_t stop, int64_t index) {
      if (index > 0) return;
      walker_.for_each_element(begin, stop, depth + 2, [&](const Element& element) -> std::optional<size_t> {
        if (element.tag == dicom_tag(0x0028, 0x3002)) read_descriptor(element, stop, table);
        if (element.tag == dicom_tag(0x0028, 0x3006) && !element.is_undefined()) table.data = value(element, stop);
        return std::nullopt;
      });
    });
  }

  void read_descriptor(const Element& element, size_t end, RawTable& table) {
    const auto bytes = value(element, end);
    if (bytes.size() < 6) return;
    for (size_t i = 0; i < 3; ++i) table.descriptor[i] = static_cast<int64_t>(little_or_big(bytes, 2 * i, 2, walker_.is_big_endian()));
    table.has_descriptor = true;
    table.is_signed_descriptor = element.vr == "SS" || (element.vr != "US" && file_.is_signed);
  }

  template <size_t kCount>
  void read_array(const Element& element, size_t end, std::optional<std::array<double, kCount>>& out) {
    const std::vector<double> numbers = numbers_of(text(element, end));
    if (numbers.size() < kCount) return;
    out.emplace();
    std::copy_n(numbers.begin(), kCount, out->begin());
  }

  void read_frames(const Element& element, size_t end) {
    const double frames = first_number(element, end).value_or(1);
    constexpr double kMost = 1e9;
    file_.frames = frames >= 1 && frames <= kMost ? static_cast<int64_t>(frames) : 1;
  }

  void read_pixels(const Element& element) {
    const auto bytes = walker_.bytes();
    using Pixels = DicomFile::Pixels;
    file_.pixels = element.tag == kPixelData ? Pixels::kWhole : element.tag == kFloatPixelData ? Pixels::kFloat : Pixels::kDouble;
    file_.is_encapsulated = element.is_undefined();
    if (!file_.is_encapsulated) {
      file_.native = bytes.subspan(element.begin, std::min<size_t>(element.length, bytes.size() - element.begin));
      file_.is_cut = file_.native.size() < element.length;
      file_.is_swapped = walker_.is_big_endian() && element.vr == "OW";
      return;
    }
    bool is_table = true;
    size_t first = 0;
    for (size_t at = element.begin;;) {
      const auto item = walker_.element(at, bytes.size());
      if (!item || item->tag != kItem) break;
      if (item->is_undefined()) throw corrupt_image(kKind, "a fragment of pixel data without a length");
      const size_t size = std::min<size_t>(item->length, bytes.size() - item->begin);
      const auto fragment = bytes.subspan(item->begin, size);
      if (is_table) {
        for (size_t i = 0; i + 4 <= fragment.size(); i += 4)
          file_.offsets.push_back(little_or_big(fragment, i, 4, walker_.is_big_endian()));
        is_table = false;
        first = item->begin + size;
      } else {
        file_.fragments.push_back(fragment);
        file_.fragment_places.push_back(at - first);
      }
      if (size < item->length) {
        file_.is_cut = true;
        break;
      }
      at = item->begin + size;
    }
    if (extended_offsets_.empty()) return;
    file_.offsets.clear();
    for (size_t i = 0; i + 8 <= extended_offsets_.size(); i += 8)
      file_.offsets.push_back(little_or_big(extended_offsets_, i, 8, walker_.is_big_endian()));
  }

  /// Where a table lacks its descriptor or its data, there is none.
  std::optional<DicomTable> table(const RawTable& raw) const {
    if (!raw.has_descriptor || (raw.data.empty() && raw.segmented.empty())) return std::nullopt;
    DicomTable table;
    const auto count = static_cast<size_t>(raw.descriptor[0] == 0 ? 65536 : raw.descriptor[0]);
    table.first =
        raw.is_signed_descriptor ? static_cast<double>(static_cast<int16_t>(raw.descriptor[1])) : static_cast<double>(raw.descriptor[1]);
    table.bits = static_cast<int>(raw.descriptor[2]);
    if (table.bits < 1 || table.bits > 16) throw corrupt_image(kKind, fmt::format("a lookup table of {} bits", table.bits));
    if (!raw.data.empty()) {
      // 8-bit entries may lie two in a word.
      const bool is_packed = raw.data.size() < 2 * count && raw.data.size() >= count;
      if (is_packed) {
        for (size_t i = 0; i < count; ++i) table.entries.push_back(std::to_integer<uint16_t>(raw.data[i]));
        table.bits = std::min(table.bits, 8);
      } else {
        for (size_t i = 0; i < std::min(count, raw.data.size() / 2); ++i)
          table.entries.push_back(static_cast<uint16_t>(little_or_big(raw.data, 2 * i, 2, walker_.is_big_endian())));
      }
    } else {
      const bool is_eight_bit = table.bits <= 8;
      std::vector<uint16_t> words;
      for (size_t i = 0; i + (is_eight_bit ? 1 : 2) <= raw.segmented.size(); i += is_eight_bit ? 1 : 2)
        words.push_back(static_cast<uint16_t>(little_or_big(raw.segmented, i, is_eight_bit ? 1 : 2, walker_.is_big_endian())));
      table.entries = expand_segmented_palette(words, is_eight_bit, walker_.is_big_endian(), count);
    }
    if (table.entries.size() < count) throw corrupt_image(kKind, "a lookup table with fewer entries than it says");
    return table;
  }

  void finish() {
    if (file_.bits_stored == 0) file_.bits_stored = file_.bits_allocated;
    file_.high_bit = high_bit_.value_or(file_.bits_stored - 1);
    file_.modality_table = table(modality_table_);
    file_.voi_table = table(voi_table_);
    if (file_.photometric != "PALETTE COLOR") return;
    for (size_t c = 0; c < 3; ++c) {
      if (auto colour = table(palette_[c])) file_.palette[c] = std::move(*colour);
    }
  }

  const Walker& walker_;
  int64_t frame_;
  DicomFile& file_;
  std::optional<int> high_bit_;
  RawTable modality_table_, voi_table_;
  std::array<RawTable, 3> palette_;
  std::span<const std::byte> extended_offsets_;
};

constexpr size_t kPreamble = 128, kMagic = 4;

/// Does a data set begin here, its first two elements being of group 2 or 8?
bool begins_a_data_set(std::span<const std::byte> bytes) {
  if (bytes.size() < 16 || bytes[1] != std::byte{0} || bytes[3] != std::byte{0}) return false;
  if (bytes[0] != std::byte{2} && bytes[0] != std::byte{8}) return false;
  static constexpr std::array<uint64_t, 9> kFirst = {0x00, 0x01, 0x02, 0x05, 0x06, 0x08, 0x12, 0x14, 0x16};
  const uint64_t element = little_or_big(bytes, 2, 2, false);
  if (std::find(kFirst.begin(), kFirst.end(), element) == kFirst.end()) return false;
  const Walker walker(bytes, {.is_explicit = true});
  const auto first = walker.element(0, bytes.size());
  if (!first || first->is_undefined() || first->length % 2 != 0 || first->length > bytes.size() - first->begin) return false;
  if (bytes[0] == std::byte{2}) return !first->vr.empty();
  const auto second = walker.element(first->begin + first->length, bytes.size());
  return second && second->tag > first->tag && second->tag >> 16 == 8 && first->vr.empty() == second->vr.empty();
}

/// Reads the file's own header, always explicit and little-endian. Returns where the data set begins.
size_t read_meta(std::span<const std::byte> bytes, size_t at, std::string& uid) {
  const Walker walker(bytes, {.is_explicit = true});
  while (const auto element = walker.element(at, bytes.size())) {
    if (element->tag >> 16 != 2) return at;
    if (element->is_undefined()) throw corrupt_image(kKind, "its file header has no end");
    const size_t end = walker.after(*element, bytes.size());
    if (element->tag == dicom_tag(0x0002, 0x0010)) {
      uid = std::string(trimmed({reinterpret_cast<const char*>(bytes.data()) + element->begin, element->length}));
    }
    at = end;
  }
  throw truncated_image(kKind, "end of data within its file header");
}

/// Unfolds a data set on to `size` bytes or its end, in steps: it takes the memory that its bytes fill, not what they claim.
void inflate_to(size_t size, Inflater& inflater, std::vector<std::byte>& out) {
  while (out.size() < size) {
    const size_t before = out.size();
    out.resize(std::min(size, std::max<size_t>(2 * before, 1 << 16)));
    const size_t filled = inflater.read(std::span(out).subspan(before));
    if (before + filled == out.size()) continue;
    out.resize(before + filled);
    return;
  }
}

/// What is needed of a deflated data set, since a megabyte may hold a gigabyte: what stands before the pixels, then what a frame of this
/// size takes, and the frames before it.
std::vector<std::byte> inflated(std::span<const std::byte> data, int64_t frame, const DecodeOptions& options, const DicomSyntax& syntax,
                                bool with_pixels) {
  constexpr size_t kBeforePixels = 16 << 20;
  Inflater inflater(data, Inflater::Format::kRaw, kKind);
  std::vector<std::byte> result;
  inflate_to(kBeforePixels, inflater, result);
  if (!with_pixels || result.size() < kBeforePixels) return result;
  DicomFile header;
  const Walker walker(result, syntax);
  FileReader(walker, frame, header).read(/*with_pixels=*/false);
  check_image_size(header.columns, header.rows, options);
  const double pixels = static_cast<double>(header.rows) * static_cast<double>(header.columns) * header.samples_per_pixel;
  const double needed = pixels * header.bits_allocated / 8 * static_cast<double>(frame + 1) + 1;
  constexpr double kMost = 4.0 * (1 << 30);  // as of a file that is not deflated
  if (needed > kMost) {
    throw UserError("too large an image", {.found = "a frame of a deflated DICOM file behind gigabytes of others",
                                           .fix = "convert the file to explicit little endian"});
  }
  inflate_to(kBeforePixels + static_cast<size_t>(std::max(needed, 0.0)), inflater, result);
  return result;
}

}  // namespace

bool has_dicom_preamble(std::span<const std::byte> bytes) {
  return bytes.size() >= kPreamble + kMagic && std::memcmp(bytes.data() + kPreamble, "DICM", kMagic) == 0;
}

bool is_dicom(std::span<const std::byte> bytes) {
  return has_dicom_preamble(bytes) || begins_a_data_set(bytes);
}

DicomFile read_dicom(std::span<const std::byte> bytes, int64_t frame, const DecodeOptions& options, bool with_pixels) {
  std::string uid;
  const size_t begin = read_meta(bytes, has_dicom_preamble(bytes) ? kPreamble + kMagic : 0, uid);
  DicomFile file;
  if (!uid.empty()) {
    const auto known = syntaxes().find(uid);
    if (known == syntaxes().end()) {
      // Only UIDs of the standard itself are shown.
      const bool is_public =
          uid.starts_with("1.2.840.10008.1.2.") && uid.size() < 32 && uid.find_first_not_of("0123456789.") == std::string::npos;
      throw unsupported_image(fmt::format("a DICOM file in the transfer syntax {}", is_public ? uid : "of a vendor"),
                              "convert it to explicit little endian, for instance with dcmdjpeg or gdcmconv");
    }
    file.syntax = known->second;
  }
  std::span<const std::byte> data = bytes.subspan(begin);
  if (file.syntax.is_deflated) {
    file.inflated = inflated(data, frame, options, file.syntax, with_pixels);
    data = file.inflated;
  }
  // Some files are written otherwise than they say: two letters behind the first tag are its type.
  if (data.size() >= 6) {
    file.syntax.is_explicit = is_dicom_vr(data, 4);
    if (uid.empty()) file.syntax.is_big_endian = data[0] == std::byte{0} && data[1] != std::byte{0};
  }
  const Walker walker(data, file.syntax);
  FileReader(walker, frame, file).read(with_pixels);
  return file;
}

}  // namespace multimeditron
