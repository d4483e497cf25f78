# SPDX-License-Identifier: Apache-2.0
#
# nanospan-bench. It is linked with the objects as they ship.

if(NSP_BUILD_BENCH)
    file(GLOB bench_sources CONFIGURE_DEPENDS bench/*.c bench/harness/*.c bench/hot_path/*.c bench/pipeline/*.c
        bench/peers/*.c bench/report/*.c)
    add_executable(nanospan-bench ${bench_sources})
    set_target_properties(nanospan-bench PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
    target_include_directories(nanospan-bench PRIVATE bench)
    target_link_libraries(nanospan-bench PRIVATE nsp_strict nanospan_shipped PkgConfig::JANSSON Threads::Threads m)
endif()
