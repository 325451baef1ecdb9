# weft_library, weft_program and the table of layers.

# weft_library(<name>
#     [LINKS <library>...]         weft libraries it calls; their headers are its users' too
#     [HIDDEN_LINKS <library>...]  the same, but its users do not see their headers
#     [USES <dependency>...]       third-party libraries
#     [SOURCES <file>...])         generated sources, beside the folder's *.c
#
# The static library weft_<name> of the current folder: sources *.c, public headers
# include/weft/<name>/*.h, each of which has to compile alone. A folder without sources becomes a
# target of its headers only.
function(weft_library name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LINKS;HIDDEN_LINKS;USES;SOURCES")
    if(arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "weft_library(${name}): unknown ${arg_UNPARSED_ARGUMENTS}")
    endif()
    set(target weft_${name})
    file(GLOB sources CONFIGURE_DEPENDS "*.c")
    file(GLOB headers CONFIGURE_DEPENDS "include/weft/${name}/*.h")

    if(sources)
        add_library(${target} STATIC ${sources} ${arg_SOURCES})
        target_include_directories(${target} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}")
        set(public PUBLIC)
        set(hidden PRIVATE)
    else()
        message(STATUS "pkg/${name}: no sources yet")
        add_library(${target} INTERFACE)
        set(public INTERFACE)
        set(hidden INTERFACE)
    endif()
    target_sources(${target} ${public} FILE_SET HEADERS BASE_DIRS include FILES ${headers})

    foreach(link IN LISTS arg_LINKS arg_HIDDEN_LINKS)
        if(NOT TARGET weft_${link})
            message(FATAL_ERROR "pkg/${name} links ${link}, which is not below it")
        endif()
    endforeach()
    foreach(use IN LISTS arg_USES)
        if(NOT TARGET weft_dep_${use})
            message(FATAL_ERROR "pkg/${name} uses ${use}, which WeftDependencies does not know")
        endif()
    endforeach()
    list(TRANSFORM arg_LINKS PREPEND weft_ OUTPUT_VARIABLE links)
    list(TRANSFORM arg_HIDDEN_LINKS PREPEND weft_ OUTPUT_VARIABLE hidden_links)
    list(TRANSFORM arg_USES PREPEND weft_dep_ OUTPUT_VARIABLE uses)
    target_link_libraries(${target} ${public} ${links} ${uses} ${hidden} ${hidden_links})

    # A library's own tests see all that the library sees.
    set_property(TARGET ${target} PROPERTY WEFT_TEST_LINKS ${target} ${links} ${hidden_links} ${uses})
    weft_add_layer("pkg/${name}" "${name};${arg_LINKS};${arg_HIDDEN_LINKS}" "${arg_USES}")
endfunction()

# weft_program(<name> [LINKS <library>...] [USES <dependency>...] [SHARES <file>...])
#
# The program bin/<name> of the current folder's *.c, and of single files of another program
# (SHARES ../<program>/<file>.c) whose folder is then on the include path. All but main.c is a
# library that the program's unit tests link.
function(weft_program name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LINKS;USES;SHARES")
    file(GLOB sources CONFIGURE_DEPENDS "*.c")
    weft_add_layer("cmd/${name}" "${arg_LINKS}" "${arg_USES}")
    if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/main.c")
        message(STATUS "cmd/${name}: no main.c yet")
        return()
    endif()
    foreach(link IN LISTS arg_LINKS)
        get_target_property(type weft_${link} TYPE)
        if(type STREQUAL "INTERFACE_LIBRARY")
            message(STATUS "cmd/${name}: left out, pkg/${link} has no sources yet")
            return()
        endif()
    endforeach()
    list(TRANSFORM arg_LINKS PREPEND weft_ OUTPUT_VARIABLE links)
    list(TRANSFORM arg_USES PREPEND weft_dep_ OUTPUT_VARIABLE uses)

    # A library may have the program's name, hence the prefix of the targets.
    add_executable(program_${name} main.c)
    set_target_properties(program_${name} PROPERTIES
        OUTPUT_NAME ${name} RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
    target_link_libraries(program_${name} PRIVATE ${links} ${uses})
    add_dependencies(programs program_${name})

    list(REMOVE_ITEM sources "${CMAKE_CURRENT_SOURCE_DIR}/main.c")
    list(APPEND sources ${arg_SHARES})
    if(sources)
        add_library(parts_${name} STATIC ${sources})
        target_include_directories(parts_${name} PUBLIC "${CMAKE_CURRENT_SOURCE_DIR}")
        foreach(shared IN LISTS arg_SHARES)
            get_filename_component(folder "${shared}" DIRECTORY)
            target_include_directories(parts_${name} PUBLIC "${folder}")
        endforeach()
        target_link_libraries(parts_${name} PUBLIC ${links} ${uses})
        target_link_libraries(program_${name} PRIVATE parts_${name})
    endif()
endfunction()

# Everything in bin/, and nothing else: what scripts/build builds.
add_custom_target(programs)

# weft_embed(<output> <kind> <file>...): generates C source <output> in the build folder from
# files; <kind> names the script Embed<kind>.cmake, which says what the source exports.
function(weft_embed output kind)
    set(script "${CMAKE_SOURCE_DIR}/scripts/cmake/Embed${kind}.cmake")
    list(JOIN ARGN "|" inputs)
    add_custom_command(
        OUTPUT "${output}"
        COMMAND "${CMAKE_COMMAND}" "-DOUTPUT=${output}" "-DINPUTS=${inputs}" -P "${script}"
        DEPENDS ${ARGN} "${script}"
        COMMENT "Embedding into ${output}"
        VERBATIM)
endfunction()

# The table that scripts/check-layers compares the #include lines with, one line for each folder:
# "pkg/wire: base wire | jansson".
function(weft_add_layer folder links uses)
    list(JOIN links " " links)
    list(JOIN uses " " uses)
    set_property(GLOBAL APPEND_STRING PROPERTY WEFT_LAYERS "${folder}: ${links} | ${uses}\n")
endfunction()

function(weft_write_layers file)
    get_property(layers GLOBAL PROPERTY WEFT_LAYERS)
    file(CONFIGURE OUTPUT "${file}" CONTENT "${layers}" @ONLY)
endfunction()
