#include "recipe/gate_recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>

#include "base/error.h"
#include "base/file.h"
#include "base/suggest.h"
#include "recipe/fields.h"
#include "recipe/load.h"

namespace multimeditron {
namespace {

using S = GateRecipe;

constexpr size_t kStages = 4;

/// Data sets by class: read once the classes are known, see GateValidator.
Field<S> class_map_field(const char* name, std::vector<std::vector<std::string>> S::*member, const char* help) {
  Field<S> result;
  result.info = {.name = name, .type = FieldType::kMap, .help = help};
  result.read = [](const FieldInfo& info, const Node& node, const std::string& path, Reader& reader, S&) {
    if (node.kind != Node::Kind::kMap) report_type(info, node, path, reader);
  };
  result.write = [member](const S& recipe) {
    Json map = Json::object();
    for (size_t i = 0; i < (recipe.*member).size(); ++i) map[std::to_string(i)] = (recipe.*member)[i];
    return map;
  };
  return result;
}

/// Four whole numbers, one a stage.
Field<S> stages_field(const char* name, std::vector<int64_t> S::*member, const char* help) {
  Field<S> result;
  result.info = {.name = name, .type = FieldType::kIntegers, .help = help};
  result.read = [member](const FieldInfo& info, const Node& node, const std::string& path, Reader& reader, S& out) {
    std::vector<int64_t> values;
    for (const Node& item : node.items) {
      const std::string& text = item.text;
      int64_t value = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      if (item.kind == Node::Kind::kScalar && error == std::errc() && end == text.data() + text.size() && value >= 1 && value <= 4096)
        values.push_back(value);
    }
    if (node.kind != Node::Kind::kSequence || node.items.size() != kStages || values.size() != kStages) {
      reader.mistake_at(path, fmt::format("`{}` must be a list of {} whole numbers from 1 to 4096, one a stage", path, kStages),
                        describe(node),
                        fmt::format("write for instance `{}: [{}]`", info.name, info.name == "blocks" ? "3, 4, 6, 3" : "8, 16, 32, 64"));
    } else {
      out.*member = values;
    }
  };
  result.write = [member](const S& recipe) { return Json(recipe.*member); };
  return result;
}

/// The original's files may say `true` for ImageNet's weights.
Field<S> backbone_field() {
  Field<S> result;
  result.info = {.name = "pretrained_backbone",
                 .type = FieldType::kFlagOrPath,
                 .help = "Hub id or folder with the weights of a ResNet-50 or of a gate; null: drawn",
                 .nullable = true};
  result.read = [](const FieldInfo& info, const Node& node, const std::string& path, Reader& reader, S& out) {
    if (node.kind == Node::Kind::kNull) return;
    if (node.kind != Node::Kind::kScalar) {
      report_type(info, node, path, reader);
    } else if (const auto flag = node.quoted ? std::nullopt : parse_boolean(node.text); !flag) {
      out.pretrained_backbone = node.text;
    } else if (*flag) {
      reader.mistake_at(path, "which weights the backbone begins with is not said", describe(node),
                        "set it to a folder or hub id with a ResNet-50 (microsoft/resnet-50, say), or to null to train from scratch");
    }
  };
  result.write = [](const S& recipe) { return recipe.pretrained_backbone.empty() ? Json() : Json(recipe.pretrained_backbone); };
  return result;
}

class GateValidator {
 public:
  GateValidator(const Node& root, GateRecipe& recipe, Reader& reader) : root_(root), recipe_(recipe), reader_(reader) {}

  void run() {
    check_classes();
    read_class_map("dataset_class_map", recipe_.dataset_class_map);
    require("dataset_class_map", root_.find("dataset_class_map") != nullptr,
            "list each class's data sets: `dataset_class_map: {0: [FOLDER]}`");
    const Node* test = root_.find("test_dataset_class_map");
    if (test != nullptr && !test->entries.empty()) read_class_map("test_dataset_class_map", recipe_.test_dataset_class_map);
    require("output_dir", !recipe_.output_dir.empty(), "set it to the folder that the run is to be written to");
    if (recipe_.normalisation == "image_processor") {
      require("image_processor_path", !recipe_.image_processor_path.empty(),
              "set it to the mixture's `image_processor`, or write `normalisation: imagenet`");
    }
    check_splits();
    check_backbone();
    check_course();
    if (recipe_.loaders.empty()) recipe_.loaders.push_back({.loader_type = "raw-image", .base_path = ""});
    if (recipe_.use_wandb)
      reader_.note(reader_.origin("use_wandb"), "`use_wandb` is accepted, not used here; metrics.jsonl is always written");
  }

 private:
  void require(const std::string& path, bool given, const std::string& fix) {
    if (given || reader_.failed(path)) return;
    reader_.mistake_at(path, fmt::format("`{}` is missing", path), reader_.has(path) ? "null, or an empty value" : "", fix);
  }

  void check_classes() {
    if (reader_.failed("num_classes") || reader_.failed("class_names") || reader_.failed("class_labels")) return;
    const auto names = static_cast<int64_t>(recipe_.class_names.size()), labels = static_cast<int64_t>(recipe_.class_labels.size());
    if (recipe_.num_classes == 0) recipe_.num_classes = std::max(names, labels);
    if (recipe_.num_classes < 2) {
      reader_.mistake_at("num_classes", "a gate needs at least two classes", fmt::format("{} class(es)", recipe_.num_classes),
                         "list one name a class in `class_names`");
      return;
    }
    for (const auto& [key, count] : {std::pair{"class_names", names}, {"class_labels", labels}}) {
      if (count == 0 || count == recipe_.num_classes) continue;
      reader_.mistake_at(key, fmt::format("`{}` disagrees with `num_classes`", key),
                         fmt::format("{} names, `num_classes: {}`", count, recipe_.num_classes),
                         "list one name a class, in the order of the classes");
    }
    for (size_t i = 0; i < recipe_.class_names.size(); ++i) {
      const auto begin = recipe_.class_names.begin();
      if (std::find(begin, begin + static_cast<std::ptrdiff_t>(i), recipe_.class_names[i]) == begin + static_cast<std::ptrdiff_t>(i))
        continue;
      reader_.mistake_at(fmt::format("class_names.{}", i), "two classes bear one name", fmt::format("`{}`", recipe_.class_names[i]),
                         "give each class the name of its own expert");
    }
    if (recipe_.top_k > recipe_.num_classes) {
      reader_.mistake_at("top_k", "more classes are to be chosen than there are",
                         fmt::format("`top_k: {}` of {} classes", recipe_.top_k, recipe_.num_classes),
                         fmt::format("choose 1 to {}", recipe_.num_classes));
    }
  }

  /// Classes that a map may name: with a name too many, which has been told, more than `num_classes`.
  size_t named_classes() const {
    return std::max({static_cast<size_t>(recipe_.num_classes), recipe_.class_names.size(), recipe_.class_labels.size()});
  }

  /// A class by its index, name or label.
  std::optional<size_t> class_of(const std::string& key) const {
    size_t index = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
    if (error == std::errc() && end == key.data() + key.size() && index < named_classes()) return index;
    for (const auto* names : {&recipe_.class_names, &recipe_.class_labels}) {
      const auto found = std::find(names->begin(), names->end(), key);
      if (found != names->end()) return static_cast<size_t>(found - names->begin());
    }
    return std::nullopt;
  }

  void read_class_map(const std::string& path, std::vector<std::vector<std::string>>& out) {
    const Node* map = root_.find(path);
    if (map == nullptr || map->kind != Node::Kind::kMap || map->unusable || recipe_.num_classes < 2 || reader_.failed("num_classes"))
      return;
    out.assign(named_classes(), {});
    for (const Node::Entry& entry : map->entries) {
      const std::string below = path + "." + entry.key;
      reader_.seen(below, entry.value.origin);
      const auto index = class_of(entry.key);
      if (!index) {
        std::vector<std::string> known = recipe_.class_names;
        known.insert(known.end(), recipe_.class_labels.begin(), recipe_.class_labels.end());
        const auto word = is_number(entry.key) ? std::nullopt : nearest(entry.key, known);
        reader_.mistake(
            entry.key_origin, "a data set is given to a class that does not exist", fmt::format("`{}`", entry.key),
            word ? fmt::format("did you mean `{}`?", *word) : fmt::format("name classes by index, 0 to {}", recipe_.num_classes - 1));
        continue;
      }
      std::vector<std::string>& names = out[*index];
      if (entry.value.kind == Node::Kind::kScalar && !entry.value.unusable) {
        names.push_back(entry.value.text);
      } else if (!entry.value.unusable) {
        std::vector<std::string> more;
        read_scalar({.name = entry.key, .type = FieldType::kStrings}, entry.value, below, reader_, more);
        names.insert(names.end(), more.begin(), more.end());
      }
      if (entry.value.unusable) unread_ = true;
    }
    out.resize(static_cast<size_t>(recipe_.num_classes));
    for (size_t i = 0; i < out.size() && !unread_; ++i) {
      if (!out[i].empty() || reader_.failed(fmt::format("{}.{}", path, i))) continue;
      reader_.mistake_at(path, "a class has no data set", "nothing for " + name_of(i), fmt::format("add `{}: [FOLDER]` to `{}`", i, path));
    }
  }

  /// "class 2 (ultrasound)"
  std::string name_of(size_t index) const {
    const std::vector<std::string> labels = recipe_.labels();
    return fmt::format("class {}{}", index, index < labels.size() ? fmt::format(" ({})", labels[index]) : "");
  }

  void check_splits() {
    if (recipe_.val_split + recipe_.test_split >= 1 && !reader_.failed("val_split") && !reader_.failed("test_split")) {
      reader_.mistake_at("val_split", "nothing is left to train on",
                         fmt::format("`val_split: {}`, `test_split: {}`", recipe_.val_split, recipe_.test_split),
                         "lower them, for instance to 0.1 each");
    }
    if (!recipe_.test_dataset_class_map.empty()) recipe_.test_split = 0;
  }

  void check_backbone() {
    const bool has_weights = !recipe_.pretrained_backbone.empty();
    if (reader_.failed("pretrained_backbone") || reader_.failed("freeze_backbone")) return;
    if (!recipe_.freeze_backbone) recipe_.freeze_backbone = has_weights;
    if (*recipe_.freeze_backbone && !has_weights) {
      reader_.mistake_at("freeze_backbone", "a backbone drawn at random is not worth freezing",
                         "`freeze_backbone: true` without `pretrained_backbone`",
                         "set `pretrained_backbone` to a folder of weights, or write `freeze_backbone: false`");
    }
    if (has_weights) {
      for (const char* key : {"widths", "blocks"}) {
        if (reader_.has(key)) reader_.note(reader_.origin(key), fmt::format("`{}` has no meaning beside `pretrained_backbone`", key));
      }
    }
    if (recipe_.unfreeze_after_epoch && !*recipe_.freeze_backbone)
      reader_.note(reader_.origin("unfreeze_after_epoch"), "`unfreeze_after_epoch` has no meaning without `freeze_backbone: true`");
  }

  void check_course() {
    if (recipe_.warmup_epochs >= recipe_.num_epochs && !reader_.failed("warmup_epochs") && !reader_.failed("num_epochs")) {
      reader_.mistake_at("warmup_epochs", "the warm-up is as long as the run",
                         fmt::format("`warmup_epochs: {}`, `num_epochs: {}`", recipe_.warmup_epochs, recipe_.num_epochs),
                         "lower `warmup_epochs`");
    }
    if (recipe_.early_stopping_patience > 0 && recipe_.val_split <= 0 && !reader_.failed("val_split")) {
      reader_.mistake_at("early_stopping_patience", "early stopping needs a validation draw", "`val_split: 0`",
                         "set `val_split`, for instance to 0.1");
    }
  }

  const Node& root_;
  GateRecipe& recipe_;
  Reader& reader_;
  bool unread_ = false;  // a value that names a variable that is not set
};

}  // namespace

template <>
const Table<GateRecipe>& table() {
  static const Table<S> fields{
      .fields = {
          field("num_classes", &S::num_classes, "Classes of the gate; where missing, as many as there are names").at_least(2),
          field("top_k", &S::top_k, "Written into the gate's config").at_least(1),
          field("image_processor_path", &S::image_processor_path, "Hub id or folder of the mixture's image processor").nullable(),
          field("normalisation", &S::normalisation, "Mean and std of the pixels: the image processor's, or ImageNet's as in the original")
              .choices({"image_processor", "imagenet"}),
          field("class_names", &S::class_names, "The experts, one a class, as the mixture names them"),
          field("class_labels", &S::class_labels, "Words for the reports"),
          class_map_field("dataset_class_map", &S::dataset_class_map, "Data sets of each class, by its index, name or label"),
          class_map_field("test_dataset_class_map", &S::test_dataset_class_map, "The same for the test draw, instead of `test_split`"),
          field("max_samples_per_class", &S::max_samples_per_class, "At most so many images of a class, chosen with `seed`").at_least(1),
          field("val_split", &S::val_split, "Share of each class that each epoch is measured on").at_least(0).below(1),
          field("test_split", &S::test_split, "Share of each class that the finished gate is measured on").at_least(0).below(1),
          field("seed", &S::seed, "Choice and order of the images, augmentation, initial weights").at_least(0),
          field("max_bad_samples", &S::max_bad_samples, "Share of the images seen that may be unusable before the run ends")
              .at_least(0)
              .at_most(1),
          field("loaders", &S::loaders, "Where the images come from; without it they are in the data sets"),
          backbone_field(),
          field("freeze_backbone", &S::freeze_backbone, "Train the classifier alone; default: where there are weights to begin with"),
          field("unfreeze_after_epoch", &S::unfreeze_after_epoch, "Train everything from then on, at a tenth of `lr`").at_least(1),
          stages_field("widths", &S::widths, "From scratch: channels inside the blocks of the four stages"),
          stages_field("blocks", &S::blocks, "From scratch: blocks of the four stages"),
          field("num_epochs", &S::num_epochs, "Passes over the images").at_least(1),
          field("early_stopping_patience", &S::early_stopping_patience, "Epochs without a better validation before the run ends; 0: never")
              .at_least(0),
          field("lr", &S::lr, "Learning rate of AdamW").above(0),
          field("weight_decay", &S::weight_decay, "Of AdamW, on all parameters").at_least(0),
          field("label_smoothing", &S::label_smoothing, "Share of the target that is spread over all classes").at_least(0).below(1),
          field("batch_size", &S::batch_size, "Images of a micro-batch").at_least(1),
          field("gradient_accumulation_steps", &S::gradient_accumulation_steps, "Micro-batches of a step").at_least(1),
          field("scheduler", &S::scheduler, "Learning rate after the warm-up: cosine to 0, or constant").choices({"cosine", "constant"}),
          field("warmup_epochs", &S::warmup_epochs, "Epochs in which the rate rises from a hundredth").at_least(0),
          field("augment", &S::augment, "Random crop, flip and colours while training"),
          field("num_workers", &S::num_workers, "Threads of the loader; 0: as many as are useful").at_least(0),
          field("save_every_n_epochs", &S::save_every_n_epochs, "Checkpoints to go on from").at_least(1),
          field("output_dir", &S::output_dir, "Folder of the run"),
          field("resume_from", &S::resume_from, "Checkpoint of another run of this recipe to go on from").nullable(),
          field("use_wandb", &S::use_wandb, "Accepted; tracking services are not used yet"),
      }};
  return fields;
}

std::vector<std::string> GateRecipe::labels() const {
  if (!class_labels.empty()) return class_labels;
  if (!class_names.empty()) return class_names;
  std::vector<std::string> labels;
  for (int64_t i = 0; i < num_classes; ++i) labels.push_back(fmt::format("class {}", i));
  return labels;
}

GateRecipe load_gate_recipe(const std::filesystem::path& file, std::span<const std::string> overrides) {
  return load_yaml<GateRecipe>(file, overrides,
                               [](const Node& root, GateRecipe& recipe, Reader& reader) { GateValidator(root, recipe, reader).run(); });
}

bool is_gate_recipe(const std::filesystem::path& file) {
  try {
    return parse_yaml(read_file(file), file.string()).root.find("dataset_class_map") != nullptr;
  } catch (const UserError&) {
    return false;  // whoever reads it in earnest tells what is wrong
  }
}

}  // namespace multimeditron
