#pragma once

#include <cstdint>
#include <filesystem>

#include "cli/demo/studies.h"

namespace multimeditron::demo {

/// The token that stands for an image in a text.
inline constexpr const char* kAttachmentToken = "<|reserved_special_token_0|>";

/// Numbers of studies; a multiple of sixty (kStudiesPerBlock) is balanced.
struct DataSetSizes {
  int64_t texts = 2400, pairs = 4800, captions = 1200, instructions = 3000, test_images = 180;
};

/// Writes into `folder` what a user's own data would look like, drawn from `seed`. Folders as `datasets.save_to_disk` makes them:
///   text          reports with questions on them, or the wish to repeat them; no images (for the warm-up)
///   pairs         `text` a caption, `modalities` its image (for contrastive training)
///   alignment     an image, "Describe the image." and its caption
///   instructions  an image, and one to five questions with their answers in one conversation
/// and the test draw:
///   test.jsonl    a line a question: {"id", "image": "test-images/0001.png", "question", "answer", "kind": "kind of image"}
///   test-images/  its images
/// About half of the images are PNG, half JPEG. Beside them LICENSE.md and contact-sheet.png. What exists is left alone; a folder or file
/// appears whole or not at all.
void write_data_sets(const std::filesystem::path& folder, uint64_t seed, const DataSetSizes& sizes = {});

/// The folder name of a kind: "ct", "mri", "ultrasound", "xray", "drawing".
const char* folder_of(Kind kind);

/// Writes pairs of one kind each, as in `pairs`, into `folder`/KIND (studies of `split`, `studies_per_kind` of each): what a gate's classes
/// and the experts are trained on. What exists is left alone.
void write_kinds(const std::filesystem::path& folder, uint64_t seed, Split split, int64_t studies_per_kind);

/// Writes images with a finding, of one kind and region each, into `folder`/KIND/REGION: what the experts are examined on. They are of the
/// test draw. What exists is left alone.
void write_regions(const std::filesystem::path& folder, uint64_t seed, int64_t num_studies);

/// Trains a byte-level BPE on `num_texts` studies' reports and questions and writes the tokenizer's files into `folder`.
void train_tokenizer(const std::filesystem::path& folder, uint64_t seed, int64_t num_texts = 1800);

}  // namespace multimeditron::demo
