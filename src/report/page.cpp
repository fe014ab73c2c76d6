#include "report/page.h"

#include <map>

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

using Parts = std::map<std::string_view, std::string_view>;

/// `html` with each @@name@@ replaced by that part, or by one that all pages have. What is put in is not looked at again: an answer may
/// hold the mark of a part.
std::string fill(std::string_view html, Parts parts) {
  parts.insert({{"head.html", kHeadHtml}, {"page.css", kPageCss}, {"common.js", kCommonJs}});
  std::string page;
  for (std::string_view rest = html; !rest.empty();) {
    const size_t begin = rest.find("@@");
    page += rest.substr(0, begin);
    if (begin == std::string_view::npos) break;
    const size_t end = rest.find("@@", begin + 2);
    page += parts.at(rest.substr(begin + 2, end - begin - 2));
    rest.remove_prefix(end + 2);
  }
  return page;
}

}  // namespace

std::string render_page(const Json& data, const Json& images) {
  const std::string json = script_json(data), pictures = script_json(images);
  return fill(kPageHtml, {{"uplot.css", kUplotCss}, {"uplot.js", kUplotJs}, {"page.js", kPageJs}, {"data", json}, {"images", pictures}});
}

std::string render_samples_page(const Json& data) {
  const std::string json = script_json(data);
  return fill(kSamplesHtml, {{"samples.css", kSamplesCss}, {"samples.js", kSamplesJs}, {"data", json}});
}

std::string render_check_page(const Json& data, const Json& images) {
  const std::string json = script_json(data), pictures = script_json(images);
  return fill(kCheckHtml, {{"check.css", kCheckCss}, {"check.js", kCheckJs}, {"data", json}, {"images", pictures}});
}

}  // namespace multimeditron
