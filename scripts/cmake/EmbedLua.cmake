# cmake -DOUTPUT=<c file> -DINPUTS=<lua file>|<lua file>... -P EmbedLua.cmake
#
# Puts the Lua files together in the order of their names and writes them as the C array
# weft_redis_functions_source (declared in pkg/redis/functions_priv.h).

string(REPLACE "|" ";" files "${INPUTS}")
list(SORT files)
set(hex "")
foreach(file IN LISTS files)
    file(READ "${file}" part HEX)
    # Each file ends its last line, whatever its editor did.
    if(NOT part STREQUAL "" AND NOT part MATCHES "0a$")
        string(APPEND part "0a")
    endif()
    string(APPEND hex "${part}")
endforeach()

string(LENGTH "${hex}" len)
math(EXPR len "${len} / 2")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${hex}")
string(REGEX REPLACE "(('[^']*',)('[^']*',)('[^']*',)('[^']*',)('[^']*',)('[^']*',)('[^']*',)('[^']*',))"
    "\\1\n" bytes "${bytes}")
file(WRITE "${OUTPUT}" "/* Generated from the Lua files of pkg/redis/functions/ by EmbedLua.cmake. */
#include \"functions_priv.h\"

const char weft_redis_functions_source[] = {
${bytes}
'\\0'};
const size_t weft_redis_functions_source_len = ${len};
")
