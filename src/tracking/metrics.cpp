#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "tracking/progress.h"

namespace multimeditron {
namespace {

/// What of the file's text stays on resume: every complete line up to the first of a later step.
std::string kept_lines(std::string_view text, int64_t resume_step, size_t& num_broken) {
  std::string kept;
  num_broken = 0;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) break;  // torn by a kill or a power loss
    const std::string_view line = text.substr(0, end + 1);
    text.remove_prefix(end + 1);
    const Json json = Json::parse(line, nullptr, false);
    if (!json.is_object()) {
      ++num_broken;
      continue;
    }
    const auto step = json.find("step");
    if (step != json.end() && step->is_number_integer() && step->get<int64_t>() > resume_step) break;
    kept += line;
  }
  return kept;
}

void cut_back(const std::filesystem::path& file, int64_t resume_step) {
  std::error_code code;
  if (!std::filesystem::exists(file, code)) return;
  const std::string text = read_file(file);
  size_t num_broken = 0;
  const std::string kept = kept_lines(text, resume_step, num_broken);
  if (num_broken > 0) warn(fmt::format("{}: left out {} lines that are not JSON", file.string(), num_broken));
  if (kept.size() == text.size()) return;
  if (text.starts_with(kept)) {
    if (::truncate(file.c_str(), static_cast<off_t>(kept.size())) != 0) throw_file_error("cut", file, errno);
  } else {
    write_file_atomic(file, kept);
  }
}

}  // namespace

struct MetricsFile::State {
  std::filesystem::path file;
  int fd = -1;

  ~State() {
    if (fd >= 0) ::close(fd);
  }

  void append(const Json& json) {
    const std::string line = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    for (size_t done = 0; done < line.size();) {
      const ssize_t written = ::write(fd, line.data() + done, line.size() - done);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) throw_file_error("write", file, errno);
      done += static_cast<size_t>(written);
    }
  }
};

MetricsFile::MetricsFile(const std::filesystem::path& file, int64_t resume_step) : state_(std::make_unique<State>()) {
  cut_back(file, resume_step);
  state_->file = file;
  state_->fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (state_->fd < 0) throw_file_error("open", file, errno);
}

MetricsFile::~MetricsFile() = default;

void MetricsFile::step(const StepRecord& record) {
  state_->append(to_json(record));
}

void MetricsFile::event(const std::string& name, const Json& fields) {
  Json json = {{"event", name}};
  if (fields.is_object()) json.update(fields);
  state_->append(json);
}

void MetricsFile::sync() {
  int result;
  do {
    result = ::fdatasync(state_->fd);
  } while (result != 0 && errno == EINTR);
  if (result != 0 && errno != EINVAL) throw_file_error("sync", state_->file, errno);
}

Json to_json(const StepRecord& record) {
  Json json = {{"step", record.step},
               {"epoch", record.epoch},
               {"loss", record.loss},
               {"grad_norm", record.grad_norm},
               {"learning_rate", record.learning_rate},
               {"tokens", record.tokens},
               {"samples", record.samples},
               {"seconds", record.seconds},
               {"data_wait_s", record.data_wait_s}};
  if (!record.micro_losses.empty()) json["micro_losses"] = record.micro_losses;
  if (!record.micro_samples.empty()) json["micro_samples"] = record.micro_samples;
  return json;
}

}  // namespace multimeditron
