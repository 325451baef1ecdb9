# The language, the warnings, the hardening and the sanitizers: the same for every target.

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_VERIFY_INTERFACE_HEADER_SETS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release)
endif()
# No -DNDEBUG: assertions stay on in release.
set(CMAKE_C_FLAGS_RELEASE "-O2 -g")
set(CMAKE_C_FLAGS_DEBUG "-O1 -g")

add_compile_definitions(_GNU_SOURCE "WEFT_VERSION=\"${PROJECT_VERSION}\"")
add_compile_options(-fno-omit-frame-pointer)
add_link_options(-Wl,--as-needed)

# Paths in binaries are relative to the source tree, so that a build does not depend on its place.
# The folder of the compilation is the top of the tree as well, else debuggers would look for
# build/pkg/...; gcc takes the last option that fits, clang has an option of its own for it.
add_compile_options(
    "-ffile-prefix-map=${CMAKE_SOURCE_DIR}/="
    "-ffile-prefix-map=${CMAKE_BINARY_DIR}=.")
if(CMAKE_C_COMPILER_ID MATCHES "Clang")
    add_compile_options(-fdebug-compilation-dir=.)
endif()

# ---- warnings -----------------------------------------------------------------------------------
# Object libraries are what checks that headers compile alone. A header of nothing but macros does,
# though -Wpedantic calls it an empty translation unit.
add_compile_options("$<$<NOT:$<STREQUAL:$<TARGET_PROPERTY:TYPE>,OBJECT_LIBRARY>>:-Wpedantic>")
add_compile_options(
    -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes
    -Wmissing-prototypes -Wwrite-strings -Wcast-qual -Wpointer-arith -Wvla -Wundef -Wformat=2
    -Wswitch-enum -Wnull-dereference -Wimplicit-fallthrough)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wlogical-op -Wduplicated-cond -Wduplicated-branches)
elseif(CMAKE_C_COMPILER_ID MATCHES "Clang")
    # Roles and mutexes are declared in the code and checked by the compiler.
    add_compile_options(-Wthread-safety)
    # "##__VA_ARGS__" is GNU C, which this project is written in.
    add_compile_options(-Wno-gnu-zero-variadic-macro-arguments)
endif()
if(WEFT_WERROR)
    add_compile_options(-Werror)
endif()

# ---- sanitizers, or else hardening --------------------------------------------------------------
if(WEFT_FUZZ)
    if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
        message(FATAL_ERROR "WEFT_FUZZ needs clang: cmake --preset fuzz")
    endif()
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()

if(WEFT_SANITIZE)
    add_compile_options(-fsanitize=${WEFT_SANITIZE} -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${WEFT_SANITIZE})
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND WEFT_SANITIZE MATCHES "undefined")
        # As shared libraries the two runtimes of gcc mix up their settings, and reports of undefined
        # behaviour do not go to log_path, where scripts/test looks for them.
        add_link_options(-static-libasan -static-libubsan)
    endif()
else()
    add_compile_options(-fstack-protector-strong -fPIE)
    if(CMAKE_BUILD_TYPE STREQUAL "Release")
        # Some distributions' compilers define it on their own.
        add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
    endif()
    add_link_options(-pie -Wl,-z,relro,-z,now,-z,noexecstack)
endif()
