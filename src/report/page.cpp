#include "report/page.h"

namespace multimeditron {

std::string script_json(const Json& data) {
  const std::string json = data.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string text;
  text.reserve(json.size());
  // These characters stand in JSON's strings only, where an escape means the same.
  for (size_t i = 0; i < json.size(); ++i) {
    if (json[i] == '<') {
      text += "\\u003c";  // neither </script> nor <!--
    } else if (json.compare(i, 3, "\u2028") == 0 || json.compare(i, 3, "\u2029") == 0) {
      text += json[i + 2] == '\xa8' ? "\\u2028" : "\\u2029";
      i += 2;
    } else {
      text += json[i];
    }
  }
  return text;
}

namespace {

/// `html` with each @@name@@ replaced by `part(name)`. What is put in is not looked at again: an answer may hold the mark of a part.
template <typename Part>
std::string fill(std::string_view html, Part part) {
  std::string page;
  for (std::string_view rest = html; !rest.empty();) {
    const size_t begin = rest.find("@@");
    page += rest.substr(0, begin);
    if (begin == std::string_view::npos) break;
    const size_t end = rest.find("@@", begin + 2);
    page += part(rest.substr(begin + 2, end - begin - 2));
    rest.remove_prefix(end + 2);
  }
  return page;
}

}  // namespace

std::string render_page(const Json& data, const Json& images) {
  return fill(kPageHtml, [&](std::string_view name) -> std::string {
    if (name == "uplot.css") return std::string(kUplotCss);
    if (name == "page.css") return std::string(kPageCss);
    if (name == "uplot.js") return std::string(kUplotJs);
    if (name == "common.js") return std::string(kCommonJs);
    if (name == "page.js") return std::string(kPageJs);
    return script_json(name == "data" ? data : images);
  });
}

std::string render_samples_page(const Json& data) {
  return fill(kSamplesHtml, [&](std::string_view name) -> std::string {
    if (name == "page.css") return std::string(kPageCss);
    if (name == "samples.css") return std::string(kSamplesCss);
    if (name == "common.js") return std::string(kCommonJs);
    if (name == "samples.js") return std::string(kSamplesJs);
    return script_json(data);
  });
}

std::string render_check_page(const Json& data, const Json& images) {
  return fill(kCheckHtml, [&](std::string_view name) -> std::string {
    if (name == "page.css") return std::string(kPageCss);
    if (name == "check.css") return std::string(kCheckCss);
    if (name == "common.js") return std::string(kCommonJs);
    if (name == "check.js") return std::string(kCheckJs);
    return script_json(name == "data" ? data : images);
  });
}

}  // namespace multimeditron
