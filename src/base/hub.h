#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace multimeditron {

/// What is looked for; it only shapes the message.
enum class HubKind { kModel, kDataset };

/// Where this program keeps what it can make anew: $MULTIMEDITRON_CACHE, else `multimeditron` beside the hub cache ($HF_HOME,
/// $XDG_CACHE_HOME/huggingface, ~/.cache/huggingface). Empty where none of them is set.
std::filesystem::path program_cache();

/// Finds `name` (a path, or a hub id "org/name[@revision]"), in this order: as given (relative to the working directory), relative to
/// `relative_to` (the folder of the checkpoint or recipe that names it), in the local hub cache ($HF_HUB_CACHE, $HF_HOME/hub,
/// $XDG_CACHE_HOME/huggingface/hub, ~/.cache/huggingface/hub: newest snapshot of `main` or of the revision). A data set's id may be
/// followed by a folder or file inside it ("org/name@revision/data"). Nothing is downloaded.
std::optional<std::filesystem::path> find_in_hub(const std::string& name, const std::filesystem::path& relative_to, HubKind kind);

/// As above, or a UserError that says where was looked. `key`: the recipe key or config entry that names it ("base_llm").
std::filesystem::path resolve_hub_path(const std::string& name, const std::filesystem::path& relative_to, HubKind kind,
                                       const std::string& key);

}  // namespace multimeditron
