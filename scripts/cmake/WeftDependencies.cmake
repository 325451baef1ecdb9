# Third-party libraries, each as a target weft_dep_<name>. A library names them in USES; the same
# names stand in the table of headers of scripts/check-layers.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

# weft_dep(<name> <what to link>...): the target of one dependency.
function(weft_dep name)
    add_library(weft_dep_${name} INTERFACE)
    target_link_libraries(weft_dep_${name} INTERFACE ${ARGN})
endfunction()

pkg_check_modules(HIREDIS REQUIRED IMPORTED_TARGET hiredis>=0.14)
pkg_check_modules(EVENT REQUIRED IMPORTED_TARGET libevent_core>=2.1)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson>=2.13)
pkg_check_modules(JOSE REQUIRED IMPORTED_TARGET jose>=11)
pkg_check_modules(OPENSSL REQUIRED IMPORTED_TARGET openssl>=3.0)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl>=7.87)
pkg_check_modules(H2O REQUIRED IMPORTED_TARGET libh2o-evloop>=0.13)
find_package(wslay CONFIG REQUIRED)
find_path(WEFT_UTHASH_INCLUDE uthash.h REQUIRED)

# The .pc files of event_pthreads and event_openssl also name -levent, a second copy of the
# library with its own globals; only their own files may be linked.
find_library(WEFT_EVENT_PTHREADS event_pthreads REQUIRED HINTS ${EVENT_LIBRARY_DIRS})
find_library(WEFT_EVENT_OPENSSL event_openssl REQUIRED HINTS ${EVENT_LIBRARY_DIRS})
# evdns: host names resolved without blocking.
find_library(WEFT_EVENT_EXTRA event_extra REQUIRED HINTS ${EVENT_LIBRARY_DIRS})

weft_dep(pthread Threads::Threads)
weft_dep(math m)
weft_dep(openssl PkgConfig::OPENSSL)
weft_dep(event ${WEFT_EVENT_EXTRA} PkgConfig::EVENT ${WEFT_EVENT_PTHREADS})
weft_dep(event_openssl PkgConfig::EVENT ${WEFT_EVENT_OPENSSL} PkgConfig::OPENSSL)
weft_dep(hiredis PkgConfig::HIREDIS)
weft_dep(jansson PkgConfig::JANSSON)
weft_dep(jose PkgConfig::JOSE PkgConfig::JANSSON)
weft_dep(curl PkgConfig::CURL)
weft_dep(uthash)
target_include_directories(weft_dep_uthash SYSTEM INTERFACE ${WEFT_UTHASH_INCLUDE})
# Its hash function falls through with comments that gcc reads and clang does not.
target_compile_options(weft_dep_uthash INTERFACE $<$<C_COMPILER_ID:Clang>:-Wno-implicit-fallthrough>)

# libh2o-evloop.pc names none of what h2o.h and inline code in it need. Without H2O_USE_LIBUV=0
# the headers describe the libuv build: wrong struct layouts.
weft_dep(h2o PkgConfig::H2O wslay PkgConfig::OPENSSL Threads::Threads)
target_compile_definitions(weft_dep_h2o INTERFACE H2O_USE_LIBUV=0)
