#include "base/npy.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/temporary_folder.h"

namespace multimeditron {
namespace {

TEST(Npy, IsByteForByteWhatNumpySaves) {
  const TemporaryFolder folder;
  const std::vector<float> values{0, 1, 2, 3, 4, 5};
  write_npy(folder / "a.npy", {2, 3}, values);
  // numpy.save(file, numpy.arange(6, dtype="f4").reshape(2, 3)) of NumPy 2.
  std::string expected("\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 69);
  expected.resize(127, ' ');
  expected += '\n';
  expected.append(reinterpret_cast<const char*>(values.data()), 24);
  EXPECT_EQ(read_file(folder / "a.npy"), expected);
}

TEST(Npy, PiecesMakeTheSameFileAsTheWhole) {
  const TemporaryFolder folder;
  const std::vector<float> values{1, -2, 3.5, 4};
  write_npy(folder / "whole.npy", {4}, values);
  NpyWriter writer(folder / "pieces.npy", {4});
  writer.append({values.data(), 1});
  writer.append({values.data() + 1, 3});
  writer.close();
  EXPECT_EQ(read_file(folder / "whole.npy"), read_file(folder / "pieces.npy"));
  EXPECT_NE(read_file(folder / "whole.npy").find("'shape': (4,)"), std::string::npos);
}

}  // namespace
}  // namespace multimeditron
