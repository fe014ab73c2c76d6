# Compiler cache and linker where present, sanitizers and warnings as asked.
find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
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
