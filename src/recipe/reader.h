#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "recipe/node.h"

namespace multimeditron {

/// What one reading of a recipe has found so far: mistakes, notes, and the place of every value that the user has written.
class Reader {
 public:
  /// Adds a mistake; its order among the others is that of the file.
  void mistake(const Origin& origin, const std::string& message, const std::string& found, const std::string& fix);
  /// The same for the value at `path` ("training_args.max_steps"), which from then on counts as `failed`.
  void mistake_at(const std::string& path, const std::string& message, const std::string& found, const std::string& fix);
  void note(const Origin& origin, const std::string& text);
  void warn(const Origin& origin, const std::string& text);

  /// Remembers where the value at `path` stands.
  void seen(const std::string& path, const Origin& origin) { origins_[path] = origin; }
  void fail(const std::string& path) { failed_.insert(path); }

  /// Was written by the user (null included)?
  bool has(const std::string& path) const { return origins_.contains(path); }
  /// Was written, but could not be read: checks that build on it keep silent.
  bool failed(const std::string& path) const { return failed_.contains(path); }
  /// Place of `path`, or of the nearest of its parents that was written; the file's name for the recipe itself.
  Origin origin(std::string path) const;

  /// All mistakes in the order of the file; empty where the recipe is right.
  std::vector<UserError> mistakes() const;

  std::vector<std::string> notes, warnings;

 private:
  struct Mistake {
    Origin origin;
    UserError error;
  };
  std::vector<Mistake> mistakes_;
  std::map<std::string, Origin> origins_;
  std::set<std::string> failed_;
};

}  // namespace multimeditron
