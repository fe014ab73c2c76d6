#include "base/error.h"

#include <gtest/gtest.h>

namespace multimeditron {
namespace {

TEST(UserError, ShowsEachDetailOnItsOwnLineAndOnlyWhereSet) {
  EXPECT_STREQ(UserError("it failed").what(), "it failed");
  EXPECT_STREQ(UserError("it failed", {.where = "a.json:3", .found = "x", .fix = "write y"}).what(),
               "it failed\n  where: a.json:3\n  found: x\n  fix:   write y");
  EXPECT_STREQ(UserError("it failed", {.fix = "write y"}).what(), "it failed\n  fix:   write y");
}

TEST(UserError, OuterLayersPutTheirPlaceInFront) {
  const UserError error = UserError("bad dtype", {.where = "tensor lm_head.weight", .found = "F8"}).at("model.safetensors");
  EXPECT_EQ(error.details().where, "model.safetensors, tensor lm_head.weight");
  EXPECT_EQ(error.details().found, "F8");
  EXPECT_EQ(UserError("bad dtype").at("model.safetensors").details().where, "model.safetensors");
}

TEST(UserErrors, OfOneIsThatOneAndOfSeveralListsAll) {
  EXPECT_STREQ(UserErrors({UserError("first")}).what(), "first");
  const UserErrors errors({UserError("first", {.where = "line 1"}), UserError("second")});
  EXPECT_STREQ(errors.what(), "2 mistakes\n- first\n  where: line 1\n- second");
  EXPECT_EQ(errors.errors().size(), 2u);
}

}  // namespace
}  // namespace multimeditron
