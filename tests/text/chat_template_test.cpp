// What templates use of Jinja2 and Python, against transformers' renderings (tests/reference/template_probes.py).
#include <gtest/gtest.h>

#include "base/json.h"
#include "text/bridge.h"
#include "text/prompt_case.h"

namespace multimeditron {
namespace {

struct Rendering {
  std::string text, complaint;
};

Rendering render(const std::string& source, const std::string& variables) {
  try {
    mm_template* compiled = nullptr;
    bridge::check(mm_template_compile(bridge::lend(source), &compiled));
    const bridge::TemplateHandle handle(compiled);
    mm_string text;
    bridge::check(mm_template_render(compiled, bridge::lend(variables), bridge::lend("2026-11-25"), &text));
    return {bridge::take(text), {}};
  } catch (const bridge::Failure& failure) {
    return {{}, failure.message};
  }
}

TEST(ChatTemplate, WritesWhatTransformersWritesOrNamesTheRemedy) {
  const Json golden = read_json(testing::kTextData / "chat_templates.json");
  const std::string variables = golden["variables"].dump();
  ASSERT_GE(golden["probes"].size(), 80u);
  for (const Json& probe : golden["probes"]) {
    const auto source = probe["template"].get<std::string>();
    const Rendering ours = render(source, variables);
    if (source.find("' % ") != std::string::npos) {  // the one thing that is known not to work
      EXPECT_NE(ours.complaint.find("text|format(values)"), std::string::npos) << source << ": " << ours.complaint << ours.text;
    } else if (probe.contains("error")) {
      EXPECT_NE(ours.complaint, "") << source << "\nwas refused by transformers (" << probe["error"] << "), here it gives: " << ours.text;
    } else {
      EXPECT_EQ(ours.text, probe["text"].get<std::string>()) << source << "\n" << ours.complaint;
    }
  }
}

}  // namespace
}  // namespace multimeditron
