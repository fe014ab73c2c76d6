# Where each library comes from. deps/fetch has put the wheels' C++ parts into .deps/site.
set(SITE ${CMAKE_SOURCE_DIR}/.deps/site CACHE PATH "folder of the unpacked wheels (deps/fetch)")
if(NOT EXISTS ${SITE}/torch/include OR NOT EXISTS ${SITE}/pyarrow/include)
  message(FATAL_ERROR "LibTorch and Arrow are missing below ${SITE}: run deps/fetch (or `make build`, which does)")
endif()

# LibTorch: the CPU library only. It needs two small CUDA libraries even without a GPU.
set(TORCH_INCLUDE ${SITE}/torch/include ${SITE}/torch/include/torch/csrc/api/include)
foreach(name torch_cpu c10)
  add_library(${name} SHARED IMPORTED)
  set_target_properties(${name} PROPERTIES IMPORTED_LOCATION ${SITE}/torch/lib/lib${name}.so)
endforeach()
add_library(gomp SHARED IMPORTED)  # LibTorch's own: two OpenMP runtimes in one process would fight
set_target_properties(gomp PROPERTIES IMPORTED_LOCATION ${SITE}/torch/lib/libgomp.so.1)
add_library(torch INTERFACE)
target_include_directories(torch SYSTEM INTERFACE ${TORCH_INCLUDE})
target_compile_options(torch INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fopenmp>)
target_compile_definitions(torch INTERFACE AT_PER_OPERATOR_HEADERS)  # without it ATen's small headers include every operator
target_link_libraries(torch INTERFACE torch_cpu c10 gomp)
target_link_options(torch INTERFACE -Wl,--as-needed -Wl,--allow-shlib-undefined -Wl,-rpath-link,${SITE}/nvidia/cu13/lib)

# {fmt} in the version that LibTorch ships: its headers would hide the system's anyway.
add_library(fmt STATIC ${CMAKE_SOURCE_DIR}/cmake/fmt.cpp)
target_include_directories(fmt SYSTEM PUBLIC ${SITE}/torch/include)

# Arrow and Parquet out of the pyarrow wheel; there is no unversioned .so.
file(GLOB ARROW_LIBRARY ${SITE}/pyarrow/libarrow.so.*)
file(GLOB PARQUET_LIBRARY ${SITE}/pyarrow/libparquet.so.*)
add_library(arrow_core SHARED IMPORTED)
set_target_properties(arrow_core PROPERTIES IMPORTED_LOCATION ${ARROW_LIBRARY})
add_library(parquet SHARED IMPORTED)
set_target_properties(parquet PROPERTIES IMPORTED_LOCATION ${PARQUET_LIBRARY})
add_library(arrow INTERFACE)
target_include_directories(arrow SYSTEM INTERFACE ${SITE}/pyarrow/include)
target_link_libraries(arrow INTERFACE parquet arrow_core)

find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(nlohmann_json REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)
find_package(TIFF REQUIRED)
find_package(GIF REQUIRED)
find_package(ZLIB REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(WEBP REQUIRED IMPORTED_TARGET libwebp libwebpdemux)
pkg_check_modules(OPENJPEG REQUIRED IMPORTED_TARGET libopenjp2)

find_package(charls REQUIRED)

# Of DCMTK its JPEG decoders alone; its own pkg-config file asks for libraries that nothing here uses.
add_library(dcmtk INTERFACE)
target_link_libraries(dcmtk INTERFACE dcmjpeg dcmdata oflog ofstd)
find_package(CLI11 REQUIRED)

# The Rust bridge: one static library of tokenizers and minijinja behind a C ABI (rust/bridge.h).
set(RUST_TARGET_DIR ${CMAKE_SOURCE_DIR}/.deps/cargo CACHE PATH "cargo's target folder, shared by all presets")
set(RUST_LIBRARY ${RUST_TARGET_DIR}/release/libmultimeditron_bridge.a)
file(GLOB_RECURSE RUST_SOURCES CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/rust/src/*.rs)
add_custom_command(OUTPUT ${RUST_LIBRARY}
  COMMAND ${CMAKE_COMMAND} -E env CARGO_TARGET_DIR=${RUST_TARGET_DIR}
          cargo build --quiet --release --locked --manifest-path ${CMAKE_SOURCE_DIR}/rust/Cargo.toml
  DEPENDS ${RUST_SOURCES} ${CMAKE_SOURCE_DIR}/rust/Cargo.toml ${CMAKE_SOURCE_DIR}/rust/Cargo.lock
  COMMENT "Building the Rust bridge (tokenizers, chat templates)" USES_TERMINAL VERBATIM)
add_custom_target(rust_bridge_build DEPENDS ${RUST_LIBRARY})
add_library(rust_bridge STATIC IMPORTED)
set_target_properties(rust_bridge PROPERTIES IMPORTED_LOCATION ${RUST_LIBRARY}
  INTERFACE_INCLUDE_DIRECTORIES ${CMAKE_SOURCE_DIR}/rust INTERFACE_LINK_LIBRARIES "pthread;dl;m")
add_dependencies(rust_bridge rust_bridge_build)
