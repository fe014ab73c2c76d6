#include <ATen/ops/from_blob.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <numeric>

#include "base/error.h"
#include "base/hash.h"
#include "base/hub.h"
#include "base/log.h"
#include "base/npy.h"
#include "base/process.h"
#include "cli/engine.h"
#include "cli/engine_image.h"
#include "cli/engine_inspect_html.h"
#include "cli/engine_inspect_view.h"
#include "models/model_folder.h"
#include "models/multimodal/pretrained.h"
#include "tracking/progress.h"
#include "training/trainer.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

constexpr int kPreviewColumns = 28;
constexpr const char* kNoAnswer = "the conversation has no assistant turn";

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void print_line(const Json& json) {
  print(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  std::fflush(stdout);
}

std::string rgb_sha256(const RgbImage& image) {
  return sha256(std::as_bytes(std::span(image.pixels)));
}

int64_t rgb_sum(const RgbImage& image) {
  return std::accumulate(image.pixels.begin(), image.pixels.end(), int64_t{0});
}

Json to_json(const RgbImage& image) {
  return {{"size", {image.width, image.height}}, {"rgb_sha256", rgb_sha256(image)}, {"rgb_sum", rgb_sum(image)}};
}

Json ranges_to_json(const std::vector<ImageRange>& ranges) {
  Json json = Json::array();
  for (const ImageRange& range : ranges) json.push_back({range.start, range.end});
  return json;
}

std::string error_line(const UserError& error) {
  return fmt::format("{} ({}{}{})", error.message(), error.details().where, error.details().found.empty() ? "" : ": ",
                     error.details().found);
}

void make_folder(const fs::path& folder) {
  std::error_code code;
  fs::create_directories(folder, code);
  if (code) throw_file_error("create", folder, code.value());
}

/// Writes the arrays of one sample or batch and says so.
class Dump {
 public:
  Dump(fs::path folder, bool quiet) : folder_(std::move(folder)), quiet_(quiet) { make_folder(folder_); }

  /// `tensor`: anything that can be had as float32.
  void write(const char* name, const at::Tensor& tensor) const {
    const at::Tensor values = tensor.to(at::kFloat).contiguous();
    NpyWriter writer(folder_ / name, values.sizes().vec());
    writer.append({values.const_data_ptr<float>(), static_cast<size_t>(values.numel())});
    finish(writer, name, values.sizes().vec());
  }

  /// Logits of all rows of `hidden`, some at a time: for a long sample of a large vocabulary they are gigabytes.
  void write_logits(const CausalLm& llm, const at::Tensor& hidden) const {
    const std::vector<int64_t> shape{hidden.size(0), llm.config().vocab_size};
    NpyWriter writer(folder_ / "logits.npy", shape);
    for (int64_t first = 0; first < shape[0]; first += 256) {
      const at::Tensor logits = llm.logits(hidden.narrow(0, first, std::min<int64_t>(256, shape[0] - first))).to(at::kFloat).contiguous();
      writer.append({logits.const_data_ptr<float>(), static_cast<size_t>(logits.numel())});
    }
    finish(writer, "logits.npy", shape);
  }

 private:
  void finish(NpyWriter& writer, const char* name, const std::vector<int64_t>& shape) const {
    writer.close();
    if (!quiet_) print(fmt::format("wrote {} [{}]\n", (folder_ / name).string(), fmt::join(shape, ", ")));
  }

  fs::path folder_;
  bool quiet_;
};

void write_page(const SamplesPage& page, const fs::path& file) {
  if (file.has_parent_path()) make_folder(file.parent_path());
  const size_t size = page.write(file);
  print(fmt::format("wrote {} ({} samples, {})\n", file.string(), format_count(static_cast<int64_t>(page.num_samples())),
                    format_bytes(static_cast<int64_t>(size))));
}

/// Loss and gradients of one micro-batch.
struct Computed {
  double loss = 0;
  std::vector<GradientNorm> gradients;
};

Json gradients_to_json(const std::vector<GradientNorm>& norms) {
  Json json = Json::object();
  for (const GradientNorm& each : norms) json[each.name] = each.norm;
  return json;
}

/// `inspect --config`: samples of a recipe, each for itself or as one micro-batch.
class SampleInspector {
 public:
  SampleInspector(const InspectSamples& what, const InspectCommand& command)
      : what_(what),
        json_(command.json),
        dump_(command.dump),
        html_(command.html),
        dataset_(open_datasets(what.recipe)),
        pretrained_(load_from_recipe(what.recipe, what.recipe.training_args.bf16 ? at::kBFloat16 : at::kFloat,
                                     what.forward ? LoadFor::kInference : LoadFor::kShapes)),
        prompt_(prompt_options(what.recipe, *pretrained_.model, *pretrained_.tokenizer, today_iso_date())),
        view_(*pretrained_.tokenizer, Style{!command.json && colour_on_stdout()}, terminal_width(1)) {
    if (!html_.empty()) {
      page_.emplace(
          *pretrained_.tokenizer, what.recipe.file.string(),
          fmt::format("label_mask: {}, chat template of {}", to_string(what.recipe.label_mask), pretrained_.tokenizer->folder().string()));
    }
    prompt_.allow_no_assistant_turn = true;
    const auto& modalities = pretrained_.model->config().modalities;
    if (!modalities.empty()) processor_ = modalities.front().processor;
    builder_.emplace(*dataset_, *pretrained_.tokenizer, prompt_, what.recipe.loaders, processor_);
    // Sums of gradients are taken in float32 whatever the precision of the weights.
    if (what.gradients) pretrained_.model->set_training_mode(what.recipe.training_mode, at::kFloat);
  }

  int run() {
    const int64_t size = dataset_->size();
    std::vector<int64_t> rows = what_.rows;
    std::erase_if(rows, [&](int64_t row) { return row >= size; });
    if (rows.size() < what_.rows.size()) {
      const std::string found = fmt::format("{} rows, numbered from 0", format_count(size));
      if (rows.empty() || what_.batch)
        throw UserError("there is no such row", {.where = what_.recipe.file.string() + ", datasets", .found = found});
      note(fmt::format("{}: {}; the others of `--index` and `--count` do not exist", what_.recipe.file.string(), found));
    }
    std::vector<Sample> batch;
    int64_t bad = 0, tokens = 0, learnt = 0;
    for (const int64_t row : rows) {
      try {
        Sample sample = builder_->build(row);
        tokens += static_cast<int64_t>(sample.text.input_ids.size());
        learnt += sample.text.learnt_tokens;
        show(sample, rows.size());
        if (what_.batch) batch.push_back(std::move(sample));
      } catch (const UserError& error) {
        if (rows.size() == 1 || what_.batch) throw;
        show_bad(row, error);
        ++bad;
      }
    }
    if (what_.batch) show_batch(batch);
    if (page_) write_page(*page_, html_);
    if (!json_) {
      if (!page_) print(view_.legend());
      if (rows.size() > 1) {
        print(fmt::format("{} samples, {} tokens, {} trained ({:.0f} %){}\n", rows.size(), format_count(tokens), format_count(learnt),
                          100.0 * static_cast<double>(learnt) / static_cast<double>(std::max<int64_t>(tokens, 1)),
                          bad == 0 ? "" : fmt::format(", {} unusable", bad)));
      }
    }
    return bad > 0 ? kExitUserError : kExitDone;
  }

 private:
  MultimodalModel& model() { return *pretrained_.model; }

  /// "row 3  data/arrow/data-00000-of-00002.arrow, row 3", relative to where the user stands.
  std::string place_of(int64_t row) const {
    std::string place = dataset_->place(row);
    const std::string here = fs::current_path().string() + "/";
    if (place.starts_with(here)) place.erase(0, here.size());
    return fmt::format("row {}  {}", row, place);
  }

  std::string title(int64_t row) const { return view_.title(place_of(row)); }

  std::string caption_of(const Sample& sample, const std::vector<RgbImage>& decoded, size_t i) const {
    const ImageRange& range = sample.text.image_ranges[i];
    return fmt::format("image {}: {} x {} pixels, taken to {} x {}, {} embeddings at {} to {}", i + 1, decoded[i].width, decoded[i].height,
                       processor_->width(), processor_->height(), range.end - range.start, range.start, range.end - 1);
  }

  void show(const Sample& sample, size_t num_rows) {
    std::vector<RgbImage> decoded = builder_->decode_images(sample.index, sample.images.size());
    std::optional<Computed> computed;
    if (what_.forward && !what_.batch) computed = compute({&sample, 1});
    if (page_) {
      add_to_page(sample, decoded, computed);
    } else if (json_) {
      print_json(sample, decoded, computed);
    } else {
      print_text(sample, decoded, computed);
    }
    if (!dump_.empty() && !what_.batch) dump({&sample, 1}, num_rows == 1 ? dump_ : dump_ / fmt::format("row-{}", sample.index));
  }

  void print_json(const Sample& sample, const std::vector<RgbImage>& decoded, const std::optional<Computed>& computed) const {
    std::vector<int64_t> position_ids(sample.text.input_ids.size());
    std::iota(position_ids.begin(), position_ids.end(), 0);
    Json images = Json::array();
    for (const RgbImage& image : decoded) images.push_back(to_json(image));
    Json line = {{"index", sample.index},
                 {"text", sample.text.text},
                 {"input_ids", sample.text.input_ids},
                 {"labels", sample.text.labels},
                 {"position_ids", position_ids},
                 {"image_ranges", ranges_to_json(sample.text.image_ranges)},
                 {"learnt_tokens", sample.text.learnt_tokens},
                 {"images", images}};
    if (!sample.text.has_answer) line["bad_sample"] = kNoAnswer;
    if (computed) line["loss"] = computed->loss;
    if (computed && what_.gradients) {
      line["gradients"] = gradients_to_json(computed->gradients);
      line["gradient_norm"] = total_norm(computed->gradients);
    }
    print_line(line);
  }

  void print_text(const Sample& sample, const std::vector<RgbImage>& decoded, const std::optional<Computed>& computed) const {
    print(title(sample.index));
    print(view_.counts(sample.text) + "\n");
    if (!sample.text.has_answer) print(fmt::format("a bad sample for training: {}\n", kNoAnswer));
    for (size_t i = 0; i < decoded.size(); ++i) print(caption_of(sample, decoded, i) + "\n");
    if (colour_on_stdout() && !sample.images.empty()) {
      std::vector<RgbImage> seen;
      const size_t beside = std::max(1, terminal_width(1) / (kPreviewColumns + 2));
      for (const ImageInput& image : sample.images)
        if (seen.size() < beside) seen.push_back(visible(*processor_, image.pixel_values));
      print("\n");
      for (const std::string& line : preview(seen, kPreviewColumns)) print(line + "\n");
    }
    print("\n" + view_.body(sample.text));
    if (computed) print(result_text(*computed));
    print("\n");
  }

  void add_to_page(const Sample& sample, std::vector<RgbImage>& decoded, const std::optional<Computed>& computed) {
    std::vector<PageImage> images;
    for (size_t i = 0; i < decoded.size(); ++i) {
      std::string caption = caption_of(sample, decoded, i);
      images.push_back({std::move(decoded[i]), visible(*processor_, sample.images[i].pixel_values), std::move(caption)});
    }
    page_->add(place_of(sample.index), fmt::format("row {}", sample.index), sample.text, images,
               computed ? std::optional(computed->loss) : std::nullopt);
  }

  std::string result_text(const Computed& computed) const {
    std::string text = fmt::format("\nloss {:.6g} (perplexity {:.4g})\n", computed.loss, std::exp(computed.loss));
    if (what_.gradients) text += fmt::format("{}, {}", to_string(what_.recipe.training_mode), view_.gradients(computed.gradients));
    return text;
  }

  void show_bad(int64_t row, const UserError& error) {
    if (page_) {
      page_->add_error(place_of(row), fmt::format("row {}", row), error_line(error));
    } else if (json_) {
      print_line({{"index", row}, {"error", error_line(error)}});
    } else {
      print(title(row));
      print(fmt::format("cannot be used: {}\n\n", printable(error_line(error))));
    }
  }

  void show_batch(const std::vector<Sample>& batch) {
    const Computed computed = compute(batch);
    int64_t tokens = 0, learnt = 0;
    for (const Sample& sample : batch) {
      tokens += static_cast<int64_t>(sample.text.input_ids.size());
      learnt += sample.text.learnt_tokens;
    }
    if (json_) {
      Json line = {{"batch", what_.rows}, {"tokens", tokens}, {"learnt_tokens", learnt}, {"loss", computed.loss}};
      if (what_.gradients) {
        line["gradients"] = gradients_to_json(computed.gradients);
        line["gradient_norm"] = total_norm(computed.gradients);
      }
      print_line(line);
    } else {
      print(view_.title(fmt::format("micro-batch of rows {}", fmt::join(what_.rows, ", "))));
      print(result_text(computed));
    }
    if (!dump_.empty()) dump(batch, dump_);
  }

  MicroBatch micro_batch(std::span<const Sample> samples) const {
    return processor_ ? make_micro_batch(samples, processor_->height(), processor_->width()) : make_micro_batch(samples, 0, 0);
  }

  /// Mean loss over the labelled tokens and, where asked for, its gradient.
  Computed compute(std::span<const Sample> samples) {
    const MicroBatch batch = micro_batch(samples);
    const double scale = batch.num_labels() == 0 ? 0 : 1.0 / static_cast<double>(batch.num_labels());
    if (!what_.gradients) return {.loss = model().evaluate(batch).sum * scale, .gradients = {}};
    for (auto& bucket : model().buckets()) bucket->grad_is_stale = true;
    Computed computed{.loss = model().forward_backward(batch, scale, false).sum * scale, .gradients = {}};
    for (auto& bucket : model().buckets()) {
      if (!bucket->is_trained()) continue;
      ensure_gradient(*bucket);
      for (const Parameter* parameter : bucket->parameters)
        computed.gradients.push_back({bucket->name, parameter->name, parameter->grad.to(at::kDouble).norm().item<double>()});
    }
    return computed;
  }

  void dump(std::span<const Sample> samples, const fs::path& folder) {
    const Dump dump(folder, json_);
    const MicroBatch batch = micro_batch(samples);
    const auto num_images = static_cast<int64_t>(batch.image_of.size());
    const at::Tensor images = at::from_blob(const_cast<int64_t*>(batch.image_of.data()), {num_images}, at::kLong);
    if (num_images > 0) {
      dump.write("pixel_values.npy", batch.pixel_values.index_select(0, images));
      if (what_.forward) {
        Modality& modality = *model().modalities().front();
        dump.write("features.npy", modality.features(batch.pixel_values).index_select(0, images));
        dump.write("projected.npy", modality.forward(batch.pixel_values, nullptr).index_select(0, images));
      }
    }
    if (what_.forward) {
      CausalLm& llm = model().llm();
      dump.write_logits(llm, llm.forward_layers(model().embed(batch, nullptr), batch.layout, nullptr, false));
    }
  }

  const InspectSamples& what_;
  bool json_;
  fs::path dump_, html_;
  std::unique_ptr<Dataset> dataset_;
  Pretrained pretrained_;
  PromptOptions prompt_;
  std::optional<ImageProcessor> processor_;
  std::optional<SampleBuilder> builder_;
  SampleView view_;
  std::optional<SamplesPage> page_;
};

int inspect_image(const InspectImage& what, bool json, const fs::path& dump) {
  const ImageProcessor processor = ImageProcessor::load(find_model_folder(what.processor, {}, "--processor"));
  const RgbImage image = read_image(what.image, what.scan);
  const std::vector<float> pixel_values = processor(image);
  if (json) {
    print_line(to_json(image));
  } else {
    print(fmt::format("{}: {} x {} pixels, SHA-256 of its RGB {}\n", printable(what.image.string()), image.width, image.height,
                      rgb_sha256(image)));
    print(fmt::format("as the encoder sees it: {} x {}\n", processor.width(), processor.height()));
    if (colour_on_stdout()) {
      const std::vector<RgbImage> seen{visible(processor, pixel_values)};
      for (const std::string& line : preview(seen, std::min<int64_t>(processor.width(), terminal_width(1, 64)))) print(line + "\n");
    }
  }
  if (!dump.empty()) {
    make_folder(dump);
    write_npy(dump / "pixel_values.npy", {1, 3, processor.height(), processor.width()}, pixel_values);
    if (!json) print(fmt::format("wrote {} [1, 3, {}, {}]\n", (dump / "pixel_values.npy").string(), processor.height(), processor.width()));
  }
  return kExitDone;
}

std::vector<Message> read_messages(const std::string& line) {
  const auto fail = [](const std::string& found) {
    throw UserError("a line is no conversation",
                    {.found = found, .fix = R"(write {"messages": [{"role": "user", "content": "..."}, ...]})"});
  };
  const Json json = Json::parse(line, nullptr, false);
  if (json.is_discarded()) fail("no JSON");
  if (!json.is_object() || !json.contains("messages") || !json["messages"].is_array()) fail("no list `messages`");
  std::vector<Message> messages;
  for (const Json& entry : json["messages"]) {
    const auto text = [&](const char* key) {
      if (!entry.is_object() || !entry.contains(key) || !entry[key].is_string())
        fail(fmt::format("message {} has no text `{}`", messages.size() + 1, key));
      return entry[key].get<std::string>();
    };
    messages.push_back({text("role"), text("content")});
  }
  return messages;
}

int inspect_conversations(const InspectConversations& what, const InspectCommand& command) {
  const bool json = command.json;
  Tokenizer tokenizer = Tokenizer::load(find_model_folder(what.tokenizer, {}, "--tokenizer"));
  PromptOptions options;
  options.label_mask = what.label_mask;
  options.attachment_token = what.attachment_token;
  options.attachment_token_id = tokenizer.add_special_token(what.attachment_token);
  options.embeddings_per_image = what.embeddings_per_image;
  options.today = today_iso_date();
  options.chat_format = find_chat_format(tokenizer, what.tokenizer_type, what.label_mask, options.today);
  options.allow_no_assistant_turn = true;
  const SampleView view(tokenizer, Style{!json && colour_on_stdout()}, terminal_width(1));
  std::optional<SamplesPage> page;
  if (!command.html.empty())
    page.emplace(tokenizer, what.conversations.string(),
                 fmt::format("label_mask: {}, chat template of {}", to_string(what.label_mask), tokenizer.folder().string()));

  std::istringstream lines(read_file(what.conversations));
  std::string line;
  bool all_good = true;
  for (int64_t number = 1; std::getline(lines, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = fmt::format("{}, line {}", what.conversations.string(), number);
    try {
      const EncodedText text = encode_conversation(tokenizer, read_messages(line), options, what.add_generation_prompt);
      if (page) {
        page->add(where, fmt::format("line {}", number), text);
      } else if (json) {
        print_line({{"text", text.text},
                    {"input_ids", text.input_ids},
                    {"labels", text.labels},
                    {"image_ranges", ranges_to_json(text.image_ranges)}});
      } else {
        print(view.title(where) + view.counts(text) + "\n\n" + view.body(text) + "\n");
      }
    } catch (const UserError& error) {
      // None is left out: line n of the output stays conversation n.
      all_good = false;
      if (page) {
        page->add_error(where, fmt::format("line {}", number), error_line(error));
      } else if (json) {
        print_line({{"error", error_line(error.at(where))}});
      } else {
        print(view.title(where) + fmt::format("cannot be used: {}\n\n", printable(error_line(error))));
      }
    }
  }
  if (page) write_page(*page, command.html);
  if (!json && !page) print(view.legend());
  return all_good ? kExitDone : kExitUserError;
}

}  // namespace

int run_inspect(const InspectCommand& command) {
  if (const auto* samples = std::get_if<InspectSamples>(&command.what)) return SampleInspector(*samples, command).run();
  if (const auto* image = std::get_if<InspectImage>(&command.what)) return inspect_image(*image, command.json, command.dump);
  return inspect_conversations(std::get<InspectConversations>(command.what), command);
}

}  // namespace multimeditron
