# SPDX-License-Identifier: Apache-2.0
#
# The libraries that are linked, all of them from the distribution and found by pkg-config.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(URCU_QSBR REQUIRED IMPORTED_TARGET liburcu-qsbr)
pkg_check_modules(URCU_CDS REQUIRED IMPORTED_TARGET liburcu-cds)
pkg_check_modules(CK REQUIRED IMPORTED_TARGET ck)
pkg_check_modules(PROTOBUF_C REQUIRED IMPORTED_TARGET libprotobuf-c)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl)
pkg_check_modules(DEFLATE REQUIRED IMPORTED_TARGET libdeflate)

# For a probe of core/trace/outlier_kept.c (Debian: systemtap-sdt-dev). Optional, and nothing is linked.
# A build folder that was made without it notices when it has been installed.
include(CheckIncludeFile)
if(NOT NSP_HAVE_SDT)
    unset(NSP_HAVE_SDT CACHE)
endif()
check_include_file(sys/sdt.h NSP_HAVE_SDT)

# What the two libraries need: libnanospan-core, and the exporters on top of it.
set(nsp_core_dependencies PkgConfig::URCU_QSBR PkgConfig::URCU_CDS PkgConfig::CK Threads::Threads m)
set(nsp_exporter_dependencies PkgConfig::PROTOBUF_C PkgConfig::CURL PkgConfig::DEFLATE Threads::Threads m)

if(NSP_BUILD_TOOLS OR NSP_BUILD_EXAMPLES OR NSP_BUILD_TESTS OR NSP_BUILD_BENCH)
    pkg_check_modules(MICROHTTPD REQUIRED IMPORTED_TARGET libmicrohttpd)
    pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
endif()
if(NSP_BUILD_TOOLS)
    pkg_check_modules(NCURSESW REQUIRED IMPORTED_TARGET ncursesw)
endif()
if(NSP_BUILD_EXAMPLES)
    pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3)
endif()
if(NSP_BUILD_TESTS)
    pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
    pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)
    pkg_check_modules(NGHTTP2 REQUIRED IMPORTED_TARGET libnghttp2)
endif()

find_program(PROTOC_C protoc-c)
if(NOT PROTOC_C)
    message(FATAL_ERROR "protoc-c is not installed (Debian: protobuf-c-compiler); ./run install-deps installs it")
endif()
