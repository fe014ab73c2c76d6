#include "tracking/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <string_view>
#include <variant>

#include "base/log.h"
#include "tracking/line.h"

namespace multimeditron {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kRedraw{100};  // a tiny model makes hundreds of steps a second
constexpr std::chrono::seconds kLogInterval{5};

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

bool is_terminal(int fd) {
  const char* term = std::getenv("TERM");
  return ::isatty(fd) != 0 && !(term != nullptr && std::strcmp(term, "dumb") == 0);
}

bool is_utf8_locale() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    const std::string_view text(value);
    return text.find("UTF-8") != text.npos || text.find("utf8") != text.npos || text.find("utf-8") != text.npos;
  }
  return false;
}

size_t width_of(int fd) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const char* columns = std::getenv("COLUMNS");
  const long width = columns == nullptr ? 0 : std::strtol(columns, nullptr, 10);
  return width > 0 ? static_cast<size_t>(width) : 80;
}

/// One line; bytes that are not UTF-8 (a path of another encoding) must not end the run.
std::string json_line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json rows_to_json(const char* event, const std::string& title, const std::vector<std::pair<std::string, std::string>>& rows) {
  Json json = {{"event", event}, {"title", title}};
  for (const auto& [key, value] : rows) json["rows"][key] = value;
  return json;
}

}  // namespace

struct Progress::State {
  OutputMode mode;
  int fd;
  bool terminal;
  LineStyle style;

  std::mutex mutex;
  std::optional<std::variant<StepRecord, CountRecord>> last;  // the newest record, drawn or not
  int64_t done = 0, total = 0;                                // of `last`
  bool drawn = false;                                         // a line stands at the cursor
  bool pending = false;                                       // `last` is newer than what was drawn
  Clock::time_point started, first_done, shown;
  int64_t first_step = 0;

  /// Output is for people to look at: where it can go nowhere any more (a closed pipe, a full disk), the run goes on.
  void print(std::string_view text) const {
    if (fd == STDOUT_FILENO) std::fflush(stdout);
    while (!text.empty()) {
      const ssize_t written = ::write(fd, text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return;
      text.remove_prefix(static_cast<size_t>(written));
    }
  }

  double elapsed() const { return seconds_between(started, Clock::now()); }

  double remaining() const {
    if (done >= total) return 0;
    if (done <= first_step) return -1;
    // The first step also warms caches and is left out; what else costs time (saving, evaluating) is in the mean.
    const double per_step = seconds_between(first_done, Clock::now()) / static_cast<double>(done - first_step);
    return per_step * static_cast<double>(total - done);
  }

  std::string text(bool for_terminal) const {
    return std::visit(
        [&](const auto& record) {
          return for_terminal ? terminal_line(record, elapsed(), remaining(), style) : log_line(record, elapsed(), remaining());
        },
        *last);
  }

  /// Shows a record where one is due. `seconds`: how long it took to get here from the start, if this is the first.
  template <class Record>
  void show(const Record& record, int64_t now_done, int64_t now_total, double seconds) {
    const Clock::time_point now = Clock::now();
    const bool first = started == Clock::time_point();
    if (first) {
      started = now - std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
      first_done = now;
      first_step = now_done;
    }
    last = record;
    done = now_done;
    total = now_total;
    pending = true;
    const bool due = first || done >= total || now - shown >= (terminal ? Clock::duration(kRedraw) : Clock::duration(kLogInterval));
    if (!due) return;
    if (terminal) {
      draw();
    } else {
      print(text(false) + "\n");
      pending = false;
      shown = now;
    }
  }

  void erase() {
    if (drawn) print("\r\x1b[K");
    drawn = false;
  }

  void draw() {
    if (!last) return;
    style.width = width_of(fd);
    print("\r" + text(true) + "\x1b[K");
    drawn = true;
    pending = false;
    shown = Clock::now();
  }

  /// Leaves the newest line standing for good.
  void finish_line() {
    if (!terminal && pending && last) print(text(false) + "\n");
    if (terminal && (drawn || pending)) {
      draw();
      print("\n");
      drawn = false;
    }
    pending = false;
    last.reset();
  }

  void print_table(const std::string& title, const std::vector<std::pair<std::string, std::string>>& rows) {
    style.width = terminal ? width_of(fd) : SIZE_MAX;
    print(table(title, rows, style));
  }
};

Progress::Progress(OutputMode mode, int fd) : state_(new State{.mode = mode, .fd = fd, .terminal = is_terminal(fd)}) {
  state_->style.colour = colour_on(fd);
  state_->style.unicode = is_utf8_locale();
  if (mode != OutputMode::kNormal || !state_->terminal) return;
  set_status_line(
      [state = state_.get()] {
        const std::lock_guard lock(state->mutex);
        state->erase();
      },
      [state = state_.get()] {
        const std::lock_guard lock(state->mutex);
        state->draw();
      });
}

Progress::~Progress() {
  if (state_->mode != OutputMode::kNormal) return;
  if (state_->terminal) set_status_line({}, {});
  const std::lock_guard lock(state_->mutex);
  state_->finish_line();
}

void Progress::header(const std::string& title, const std::vector<std::pair<std::string, std::string>>& rows) {
  const std::lock_guard lock(state_->mutex);
  if (state_->mode == OutputMode::kJson) state_->print(json_line(rows_to_json("header", title, rows)));
  if (state_->mode != OutputMode::kNormal) return;
  state_->print_table(title, rows);
  state_->print("\n");
}

void Progress::step(const StepRecord& record) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  if (state.mode == OutputMode::kQuiet) return;
  if (state.mode == OutputMode::kJson) {
    Json json = to_json(record);
    json["total_steps"] = record.total_steps;
    state.print(json_line(json));
    return;
  }
  state.show(record, record.step, record.total_steps, record.seconds);
}

void Progress::count(const CountRecord& record) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  if (state.mode == OutputMode::kQuiet) return;
  if (state.mode == OutputMode::kJson) {
    state.print(json_line({{"event", "progress"}, {"what", record.what}, {"done", record.done}, {"total", record.total}}));
    return;
  }
  const auto* before = state.last ? std::get_if<CountRecord>(&*state.last) : nullptr;
  if (state.last && (before == nullptr || before->what != record.what)) {
    state.finish_line();
    state.started = {};
  }
  CountRecord timed = record;
  timed.before = state.started == Clock::time_point() ? record.done : state.first_step;
  state.show(timed, record.done, record.total, 0);
}

void Progress::event(const std::string& text, const Json& fields) {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  if (state.mode == OutputMode::kJson) {
    Json json = {{"event", "message"}, {"text", text}};
    if (fields.is_object()) json.update(fields);
    state.print(json_line(json));
  }
  if (state.mode != OutputMode::kNormal) return;
  if (!state.terminal) {
    state.print(text + "\n");
    return;
  }
  const bool stood = state.drawn;
  state.erase();
  state.print((state.style.colour ? "\x1b[2m" : "") + text + (state.style.colour ? "\x1b[0m" : "") + "\n");
  if (stood) state.draw();
}

void Progress::summary(const std::string& title, const std::vector<std::pair<std::string, std::string>>& rows) {
  const std::lock_guard lock(state_->mutex);
  if (state_->mode == OutputMode::kJson) state_->print(json_line(rows_to_json("summary", title, rows)));
  if (state_->mode != OutputMode::kNormal) return;
  state_->finish_line();
  state_->print("\n");
  state_->print_table(title, rows);
}

}  // namespace multimeditron
