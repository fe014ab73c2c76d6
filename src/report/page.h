#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace multimeditron {

/// The page's own parts, built into the library from src/report/page and uPlot.
extern const std::string_view kHeadHtml, kPageHtml, kPageCss, kPageJs, kCommonJs, kUplotJs, kUplotCss, kSamplesHtml, kSamplesCss,
    kSamplesJs;
extern const std::string_view kCheckHtml, kCheckCss, kCheckJs;

/// `data` as text that can stand inside a <script> element and parses back to the same: no `<`, no line separators of Unicode, broken UTF-8
/// replaced.
std::string script_json(const Json& data);

/// The whole page: the HTML with style, scripts and data in place.
std::string render_page(const Json& data, const Json& images);

/// The page of `inspect --html`. `data`: what sample_page.h says.
std::string render_samples_page(const Json& data);

/// The page of `check --html`. `data`: what doctor/page.h makes of the report.
std::string render_check_page(const Json& data, const Json& images);

}  // namespace multimeditron
