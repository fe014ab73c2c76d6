// Feeds a fuzz target every file of the folders given, and some mutations of each: bytes flipped, the end cut off, a part doubled. The
// mutations come from a fixed generator, so that a failure comes again.
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr int kMutations = 20;

void feed(const std::vector<uint8_t>& bytes) {
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

std::vector<uint8_t> mutated(std::vector<uint8_t> bytes, std::mt19937& random) {
  if (bytes.empty()) return bytes;
  const auto place = [&] { return random() % bytes.size(); };
  switch (random() % 4) {
    case 0:
      bytes.resize(place());
      break;
    case 1: {
      const size_t begin = place(), end = begin + random() % (bytes.size() - begin + 1);
      const std::vector<uint8_t> part(bytes.begin() + static_cast<ptrdiff_t>(begin), bytes.begin() + static_cast<ptrdiff_t>(end));
      bytes.insert(bytes.begin() + static_cast<ptrdiff_t>(begin), part.begin(), part.end());
      break;
    }
    default:
      for (unsigned count = 1 + random() % 8; count > 0; --count) bytes[place()] = static_cast<uint8_t>(random());
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  int files = 0;
  for (int i = 1; i < argc; ++i) {
    if (!std::filesystem::exists(argv[i])) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i])) {
      if (!entry.is_regular_file()) continue;
      std::ifstream stream(entry.path(), std::ios::binary);
      const std::vector<uint8_t> bytes{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
      std::fprintf(stderr, "%s\n", entry.path().c_str());
      feed(bytes);
      std::mt19937 random(static_cast<unsigned>(bytes.size()));
      for (int k = 0; k < kMutations; ++k) feed(mutated(bytes, random));
      ++files;
    }
  }
  std::printf("%d inputs, each with %d mutations\n", files, kMutations);
  return files > 0 ? 0 : 1;
}
