#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "data/dataset.h"

namespace multimeditron {

/// Whether `file` holds questions as read_task() takes them, where training has other columns: JSON lines with `question` and `answer`, or
/// a CSV or TSV file whose header has both.
bool is_question_file(const std::filesystem::path& file);

/// The rows of such a file, as read_task() reads it, as conversations of a question and its answer, an attachment token in front for each
/// image. Image paths are relative to folder(), the file's. Throws UserError, all mistakes of the file at once.
std::unique_ptr<Dataset> open_questions(const std::filesystem::path& file, const std::string& attachment_token);

}  // namespace multimeditron
