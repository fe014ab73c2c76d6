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

std::string render_page(const Json& data, const Json& images) {
  const auto part = [&](std::string_view name) -> std::string {
    if (name == "uplot.css") return std::string(kUplotCss);
    if (name == "page.css") return std::string(kPageCss);
    if (name == "uplot.js") return std::string(kUplotJs);
    if (name == "page.js") return std::string(kPageJs);
    return script_json(name == "data" ? data : images);
  };
  // What is put in is not looked at again: an answer may hold the mark of a part.
  std::string page;
  for (std::string_view rest = kPageHtml; !rest.empty();) {
    const size_t begin = rest.find("@@");
    page += rest.substr(0, begin);
    if (begin == std::string_view::npos) break;
    const size_t end = rest.find("@@", begin + 2);
    page += part(rest.substr(begin + 2, end - begin - 2));
    rest.remove_prefix(end + 2);
  }
  return page;
}

}  // namespace multimeditron
