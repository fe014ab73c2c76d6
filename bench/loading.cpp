// Rows of a data set with images through the loader, in shuffled order, as training reads them; what loading.py measures. Prints JSON.
//   build/bench/loading DATA_SET TOKENIZER PROCESSOR THREADS [cold] [unannounced] [cache=MB] [step=MS]
// cold: the files are dropped from the page cache first; unannounced: the system is not told which rows come next; step: what the consumer
// does with a batch of eight.

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

#include "base/error.h"
#include "base/process.h"
#include "data/loader.h"
#include "data/sampler.h"

namespace multimeditron {
namespace {

using Clock = std::chrono::steady_clock;

/// The same data set, whose hints go nowhere.
class Unannounced : public Dataset {
 public:
  explicit Unannounced(std::unique_ptr<Dataset> dataset) : dataset_(std::move(dataset)) {}
  int64_t size() const override { return dataset_->size(); }
  Row row(int64_t index) const override { return dataset_->row(index); }
  std::string fingerprint() const override { return dataset_->fingerprint(); }
  std::string place(int64_t index) const override { return dataset_->place(index); }
  std::filesystem::path folder(int64_t index) const override { return dataset_->folder(index); }

 private:
  std::unique_ptr<Dataset> dataset_;
};

void drop_from_page_cache(const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  ::fdatasync(fd);
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  ::close(fd);
}

int run(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: loading DATA_SET TOKENIZER PROCESSOR THREADS [cold] [unannounced] [cache=MB] [step=MS]\n");
    return 2;
  }
  bool cold = false, unannounced = false;
  int64_t cache_mb = 0, step_ms = 0;
  for (int i = 5; i < argc; ++i) {
    const std::string option = argv[i];
    cold |= option == "cold";
    unannounced |= option == "unannounced";
    if (option.starts_with("cache=")) cache_mb = std::atoll(option.c_str() + 6);
    if (option.starts_with("step=")) step_ms = std::atoll(option.c_str() + 5);
  }
  auto dataset = open_dataset(argv[1]);
  if (unannounced) dataset = std::make_unique<Unannounced>(std::move(dataset));
  if (cold) drop_from_page_cache(argv[1]);

  Tokenizer tokenizer = Tokenizer::load(argv[2]);
  PromptOptions prompt;
  prompt.attachment_token = "<|reserved_special_token_0|>";
  prompt.attachment_token_id = tokenizer.add_special_token(prompt.attachment_token);
  prompt.embeddings_per_image = 49;
  prompt.chat_format = find_chat_format(tokenizer, TokenizerType::kQwen3, prompt.label_mask, "");
  SampleBuilder builder(*dataset, tokenizer, prompt, {{.loader_type = "raw-image"}}, ImageProcessor::load(argv[3]));
  builder.set_image_cache(cache_mb << 20);

  Sampler sampler(dataset->size(), 0, 42, 8);
  Quarantine quarantine({}, 0);
  const int threads = std::atoi(argv[4]);
  const Clock::time_point start = Clock::now();
  Loader loader(builder, *dataset, {[&](int64_t number) { return sampler.batch(0, number); }, 0, sampler.batches_per_epoch()},
                {.num_threads = threads, .prefetch = std::max(2, 2 * threads)}, quarantine);
  int64_t samples = 0;
  for (int64_t i = 0; i < sampler.batches_per_epoch(); ++i) {
    samples += static_cast<int64_t>(loader.next().samples.size());
    if (step_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(step_ms));
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const ImageCacheUse use = builder.image_cache_use();
  std::printf("{\"samples\": %lld, \"seconds\": %.3f, \"waited_s\": %.3f, \"ready_bytes\": %lld, \"found\": %lld, \"asked\": %lld}\n",
              static_cast<long long>(samples), seconds, loader.waited_s(), static_cast<long long>(loader.peak_bytes()),
              static_cast<long long>(use.found), static_cast<long long>(use.asked));
  return 0;
}

}  // namespace
}  // namespace multimeditron

int main(int argc, char** argv) {
  try {
    return multimeditron::run(argc, argv);
  } catch (const multimeditron::UserError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
