#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "data/dataset.h"

namespace multimeditron {

/// Whether `file` holds questions as `evaluate` reads them: JSON lines with `question` and `answer`, where training has other columns.
bool is_question_file(const std::filesystem::path& file);

/// The rows of such a file as conversations of a question and its answer, an attachment token in front for each image. Images are relative
/// to the file. Lines are looked at when they are asked for. Throws UserError.
std::unique_ptr<Dataset> open_questions(const std::filesystem::path& file, const std::string& attachment_token);

}  // namespace multimeditron
