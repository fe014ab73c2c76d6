// Reads rows of a data set as training does, one thread, and prints {"open_s", "read_s", "rows", "bytes"}: for rows.py.
//   build/bench/rows DATASET sequential|shuffled [ROWS]

#include <fmt/format.h>

#include <chrono>
#include <string>

#include "base/error.h"
#include "data/combined.h"
#include "data/dataset.h"

int main(int argc, char** argv) {
  using Clock = std::chrono::steady_clock;
  if (argc < 3) return 2;
  try {
    const auto start = Clock::now();
    const auto dataset = multimeditron::open_dataset(argv[1]);
    const auto opened = Clock::now();
    const bool is_shuffled = std::string(argv[2]) == "shuffled";
    const int64_t count = argc > 3 ? std::min<int64_t>(std::stoll(argv[3]), dataset->size()) : dataset->size();
    size_t bytes = 0;
    for (int64_t i = 0; i < count; ++i) {
      const multimeditron::Row row = dataset->row(is_shuffled ? multimeditron::permuted(i, dataset->size(), 1) : i);
      if (row.text) bytes += row.text->size();
      for (const auto& message : row.conversations) bytes += message.content.size();
      for (const auto& attachment : row.modalities) bytes += attachment.bytes.size();
    }
    const auto seconds = [](auto duration) { return std::chrono::duration<double>(duration).count(); };
    fmt::print("{{\"open_s\": {}, \"read_s\": {}, \"rows\": {}, \"bytes\": {}}}\n", seconds(opened - start), seconds(Clock::now() - opened),
               count, bytes);
  } catch (const multimeditron::UserError& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 2;
  }
  return 0;
}
