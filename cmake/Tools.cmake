# Compiler cache and linker where present, sanitizers and warnings as asked.
find_program(CCACHE ccache)
if(CCACHE)
  # With a precompiled header ccache must look past the header's own time stamps, and the compiler must name it in its output.
  # Paths relative to the checkout let several clones share what is cached.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

set(MULTIMEDITRON_SANITIZE "" CACHE STRING "sanitizers, for instance address,undefined")
if(MULTIMEDITRON_SANITIZE)
  add_compile_options(-fsanitize=${MULTIMEDITRON_SANITIZE} -fno-omit-frame-pointer -g1)
  add_link_options(-fsanitize=${MULTIMEDITRON_SANITIZE})
endif()

add_library(multimeditron_warnings INTERFACE)
target_compile_options(multimeditron_warnings INTERFACE -Wall -Wextra -Wno-missing-field-initializers
  $<$<BOOL:${MULTIMEDITRON_WERROR}>:-Werror>)
