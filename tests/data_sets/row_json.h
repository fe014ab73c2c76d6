#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/error.h"
#include "base/hash.h"
#include "base/json.h"
#include "data/dataset.h"

namespace multimeditron::testing {

/// An empty folder for one test.
inline std::filesystem::path scratch(const std::string& name) {
  const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / ("dataset_test_" + name);
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  return folder;
}

/// A row as the goldens have it: an image is its bytes' hash, its path, or both.
inline Json describe(const Row& row) {
  Json described = {{"text", nullptr}, {"conversations", Json::array()}, {"modalities", Json::array()}};
  if (row.text) described["text"] = *row.text;
  for (const Message& message : row.conversations) {
    described["conversations"].push_back({{"role", message.role}, {"content", message.content}});
  }
  for (const Attachment& attachment : row.modalities) {
    Json item = {{"type", attachment.type}, {"bytes_sha256", ""}, {"path", attachment.path}};
    if (!attachment.bytes.empty()) item["bytes_sha256"] = sha256(attachment.bytes);
    described["modalities"].push_back(item);
  }
  return described;
}

/// The text of the error that `body` must throw.
template <typename Body>
std::string complaint(Body body) {
  try {
    body();
  } catch (const UserError& error) {
    return error.what();
  }
  return "no complaint";
}

}  // namespace multimeditron::testing
