# cmake -DOUTPUT=<c file> -DINPUTS=<file>|<file>... -P EmbedAssets.cmake
#
# Writes the bytes of the files as the C table weft_assets (declared in pkg/http/assets_priv.h).

function(content_type name ret)
    string(REGEX REPLACE "^.*\\." "" extension "${name}")
    set(html "text/html; charset=utf-8")
    set(js "text/javascript; charset=utf-8")
    set(css "text/css; charset=utf-8")
    set(svg "image/svg+xml")
    set(yaml "application/yaml")
    if(NOT DEFINED ${extension})
        message(FATAL_ERROR "no content type for ${name}")
    endif()
    set(${ret} "${${extension}}" PARENT_SCOPE)
endfunction()

string(REPLACE "|" ";" files "${INPUTS}")
list(SORT files)
set(arrays "")
set(rows "")
set(count 0)
foreach(file IN LISTS files)
    get_filename_component(name "${file}" NAME)
    content_type("${name}" type)
    file(SHA256 "${file}" hash)
    string(SUBSTRING "${hash}" 0 32 hash)
    file(READ "${file}" hex HEX)
    string(LENGTH "${hex}" len)
    math(EXPR len "${len} / 2")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    string(REGEX REPLACE "((0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,))" "\\1\n"
        bytes "${bytes}")
    # The NUL is not counted; it lets an empty file be an array.
    string(APPEND arrays "static const unsigned char data_${count}[] = {\n${bytes}\n0x00};\n\n")
    string(APPEND rows "    {\"${name}\", \"${type}\", \"\\\"${hash}\\\"\", data_${count}, ${len}},\n")
    math(EXPR count "${count} + 1")
endforeach()

file(WRITE "${OUTPUT}" "/* Generated from pkg/dashboard and docs/openapi.yaml by EmbedAssets.cmake. */
#include \"assets_priv.h\"

${arrays}const struct weft_asset weft_assets[] = {
${rows}    {NULL, NULL, NULL, NULL, 0},
};
const size_t weft_assets_len = ${count};
")
