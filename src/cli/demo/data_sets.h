#pragma once

#include <cstdint>
#include <filesystem>

namespace multimeditron::demo {

/// The token that stands for an image in a text.
inline constexpr const char* kAttachmentToken = "<|reserved_special_token_0|>";

/// Numbers of studies; a multiple of sixteen is balanced.
struct DataSetSizes {
  int64_t texts = 1600, captions = 1600, instructions = 3200, test_images = 64;
};

/// Writes `folder`/{text,alignment,instructions,test}, each a folder as `datasets.save_to_disk` makes it:
///   text          a report, and a question on it or the wish to repeat it; no images (for the warm-up)
///   alignment     an image, "Describe the image." and its caption
///   instructions  an image, and two or three questions with their answers in one conversation
///   test          an image, one question and its answer; every question of an image is a row
/// Those that exist are left alone; a folder appears whole or not at all.
void write_data_sets(const std::filesystem::path& folder, uint64_t seed, const DataSetSizes& sizes = {});

/// Writes the first `count` test images as `folder`/test-1.png and so on, to look at and to ask about.
void write_sample_images(const std::filesystem::path& folder, uint64_t seed, int64_t count);

/// Trains a byte-level BPE on `num_texts` studies' reports and questions and writes the tokenizer's files into `folder`.
void train_tokenizer(const std::filesystem::path& folder, uint64_t seed, int64_t num_texts = 1600);

}  // namespace multimeditron::demo
