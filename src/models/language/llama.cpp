#include "models/config_reader.h"
#include "models/language/decoder_config.h"

namespace multimeditron {

/// Llama 2 and 3 (arXiv:2407.21783), SmolLM2: the plain decoder.
DecoderConfig llama_config(const Json& json, const ConfigReader& reader) {
  return read_llama_family(json, reader);
}

}  // namespace multimeditron
