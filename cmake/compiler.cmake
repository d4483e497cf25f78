# SPDX-License-Identifier: Apache-2.0
#
# The compiler options. `nsp_strict` has those of the project's own sources; generated code does not get them.

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)

add_library(nsp_strict INTERFACE)
target_compile_definitions(nsp_strict INTERFACE _GNU_SOURCE)
target_compile_options(nsp_strict INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow $<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes> $<$<COMPILE_LANGUAGE:C>:-Wmissing-prototypes>
    -Wpointer-arith -Wcast-align -Wundef -Wwrite-strings -Wvla -Wformat=2 -fno-common)
if(CMAKE_C_COMPILER_ID MATCHES "Clang")
    # gcc accepts these GNU extensions under -Wpedantic when they come from __extension__ or a system header.
    target_compile_options(nsp_strict INTERFACE
        -Wno-gnu-statement-expression -Wno-gnu-zero-variadic-macro-arguments -Wno-language-extension-token)
endif()
if(NSP_WERROR)
    target_compile_options(nsp_strict INTERFACE -Werror)
endif()

if(NSP_FUZZ)
    if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
        message(FATAL_ERROR "NSP_FUZZ needs clang")
    endif()
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()

if(NSP_SANITIZE)
    if(NOT NSP_SANITIZE MATCHES "^(address|undefined|address,undefined|undefined,address|thread)$")
        message(FATAL_ERROR "NSP_SANITIZE is '${NSP_SANITIZE}'; it takes address, undefined, address,undefined or thread")
    endif()
    # Not only for our own sources: all objects of a program must be instrumented alike.
    add_compile_options(-fsanitize=${NSP_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${NSP_SANITIZE})
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
        # gcc's warnings about truncated text are not reliable in instrumented code. -Wtsan: fences are only
        # used between atomic accesses, which the thread sanitizer does not need to order.
        target_compile_options(nsp_strict INTERFACE -Wno-format-truncation -Wno-stringop-truncation -Wno-tsan)
    endif()
endif()
