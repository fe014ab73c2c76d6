#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace multimeditron {

/// SHA-256 (FIPS 180-4) of what arrives piece by piece.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(std::span<const std::byte> bytes);
  /// Lower-case hexadecimal digits; the object is used up.
  std::string finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

/// SHA-256 in lower-case hexadecimal digits. Of a file: throws UserError where it cannot be read.
std::string sha256(std::span<const std::byte> bytes);
inline std::string sha256(std::string_view text) {
  return sha256(std::as_bytes(std::span(text.data(), text.size())));
}
std::string sha256_of_file(const std::filesystem::path& file);

/// The first 64 bits of the SHA-256: what an image's bytes are known by.
uint64_t content_hash(std::string_view bytes);

/// Spreads what differs in any bits over all of them (the last step of splitmix64).
constexpr uint64_t mix_bits(uint64_t value) {
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
  value = (value ^ value >> 27) * 0x94d049bb133111eb;
  return value ^ value >> 31;
}
/// Neighbouring numbers give unrelated seeds (splitmix64).
constexpr uint64_t mix_seed(uint64_t seed, uint64_t number) {
  return mix_bits(seed + 0x9e3779b97f4a7c15 * (number + 1));
}

}  // namespace multimeditron
