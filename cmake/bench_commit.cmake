# SPDX-License-Identifier: Apache-2.0
#
# Runs in each build: writes the commit of the sources into HEADER, for the reports of the bench. The file
# changes only if the commit does.

cmake_minimum_required(VERSION 3.25)
set(commit "unknown")
find_program(GIT git)
if(GIT)
    execute_process(COMMAND ${GIT} -C ${SOURCE} rev-parse --show-prefix OUTPUT_VARIABLE prefix
        RESULT_VARIABLE outside OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    # Sources that were unpacked inside another project's repository have no commit.
    if(outside EQUAL 0 AND prefix STREQUAL "")
        execute_process(COMMAND ${GIT} -C ${SOURCE} describe --always --dirty --abbrev=12 --match "v*"
            OUTPUT_VARIABLE described RESULT_VARIABLE failed OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
        if(failed EQUAL 0)
            set(commit ${described})
        endif()
    endif()
endif()
file(CONFIGURE OUTPUT ${HEADER} CONTENT "#define BENCH_COMMIT \"@commit@\"\n" @ONLY)
