#include "base/base64.h"

#include <gtest/gtest.h>

namespace multimeditron {
namespace {

// The examples of RFC 4648, section 10, and what breaks them.
TEST(Base64, DecodesWhatItsRfcEncodes) {
  EXPECT_EQ(decode_base64(""), "");
  EXPECT_EQ(decode_base64("Zg=="), "f");
  EXPECT_EQ(decode_base64("Zm8="), "fo");
  EXPECT_EQ(decode_base64("Zm9v"), "foo");
  EXPECT_EQ(decode_base64("Zm9vYg=="), "foob");
  EXPECT_EQ(decode_base64("Zm9v\r\n YmFy"), "foobar");
  EXPECT_EQ(decode_base64("+/8A"), std::string("\xfb\xff\0", 3));
  for (const char* text : {"Z", "Zg", "Zg=", "Zm9", "=Zg=", "Zg==Zg==", "Zm9v=", "Zm9_", "Zm9v====", "images/a.png"})
    EXPECT_FALSE(decode_base64(text)) << text;
}

}  // namespace
}  // namespace multimeditron
