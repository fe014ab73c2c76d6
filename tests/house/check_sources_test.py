#!/usr/bin/env python3
"""Each house rule finds its offence, and nothing else."""
import pathlib
import tempfile
import unittest

import check_sources


class CheckSources(unittest.TestCase):
    def offences(self, **files):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                path = pathlib.Path(folder, name.replace("__", "/").replace("_DOT_", "."))
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return check_sources.check(pathlib.Path(folder))

    def assert_offence(self, words, **files):
        found = self.offences(**files)
        self.assertEqual(len(found), 1, found)
        self.assertIn(words, found[0])

    def test_orderly_file_passes(self):
        self.assertEqual(self.offences(src__models__a_DOT_h='#pragma once\n#include <ATen/Tensor.h>\n#include "data/sample.h"\n'), [])

    def test_include_against_the_arrows(self):
        self.assert_offence("image may not include data/", src__image__a_DOT_cpp='#include "data/sample.h"\n')
        self.assert_offence("tracking may not include recipe/", src__tracking__a_DOT_cpp='#include "recipe/recipe.h"\n')

    def test_front_includes_recipe_and_base_only(self):
        self.assert_offence("src/cli may not include models/", src__cli__main_DOT_cpp='#include "models/module.h"\n')
        self.assertEqual(self.offences(src__cli__engine_train_DOT_cpp='#include "models/module.h"\n'), [])

    def test_libtorch_outside_the_engine(self):
        self.assert_offence("data/ may not include LibTorch", src__data__a_DOT_cpp="#include <torch/torch.h>\n")
        self.assert_offence("cli/ may not include LibTorch", src__cli__options_DOT_cpp="#include <ATen/Tensor.h>\n")

    def test_unknown_folder(self):
        self.assert_offence("no place in the order", src__utils__a_DOT_cpp="int i;\n")

    def test_machine_path(self):
        self.assert_offence("path of one machine", docs__a_DOT_md="run it in /" + "home/someone\n")
        self.assertEqual(self.offences(docs__a_DOT_md="relative/home/x, $OUT/tmp/x, https://host/work/x\n"), [])

    def test_unfinished(self):
        self.assert_offence("left unfinished", src__base__a_DOT_cpp="// TO" + "DO: later\n")

    def test_header_without_pragma_once(self):
        self.assert_offence("#pragma once", src__base__a_DOT_h="int i;\n")

    def test_broken_python(self):
        self.assert_offence("bench/a.py:1", bench__a_DOT_py="def f(:\n")


if __name__ == "__main__":
    unittest.main()
