# SPDX-License-Identifier: Apache-2.0
#
# nanospan-bench. It is linked with the same objects as the library.

if(NSP_BUILD_BENCH)
    file(GLOB bench_sources CONFIGURE_DEPENDS bench/*.c bench/*/*.c)
    add_executable(nanospan-bench ${bench_sources})
    set_target_properties(nanospan-bench PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
    target_include_directories(nanospan-bench PRIVATE bench)
    target_link_libraries(nanospan-bench PRIVATE nsp_strict nanospan_shipped PkgConfig::JANSSON
        PkgConfig::MICROHTTPD Threads::Threads m)

    # The program that the bench measures as a user's: linked with the shared library, and with no part of it.
    if(TARGET nanospan)
        add_executable(nanospan-bench-user bench/user/program/main.c bench/user/program/crew.c
            bench/harness/cpus.c bench/harness/distance.c bench/harness/noise.c bench/harness/plain.c bench/harness/ticks.c)
        set_target_properties(nanospan-bench-user PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
        target_include_directories(nanospan-bench-user PRIVATE bench ${PROJECT_SOURCE_DIR})
        target_link_libraries(nanospan-bench-user PRIVATE nsp_strict nanospan Threads::Threads m)
        add_dependencies(nanospan-bench nanospan-bench-user)

        # What tests/gates/touched.sh runs. Bound as the toolchain does by default, because the gate counts the run that
        # touches least, after the first. Position-independent, as distributions build programs.
        add_executable(nanospan-touched tests/gates/touched/program.c)
        set_target_properties(nanospan-touched PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin
            POSITION_INDEPENDENT_CODE ON)
        target_link_libraries(nanospan-touched PRIVATE nsp_strict nanospan)
        target_link_options(nanospan-touched PRIVATE -pie)
        add_dependencies(nanospan-bench nanospan-touched)
    endif()

    # The compiler flags, which the reports show, and the script that makes the page.
    string(TOUPPER "${CMAKE_BUILD_TYPE}" build_type)
    set(bench_flags "${CMAKE_BUILD_TYPE}: ${CMAKE_C_FLAGS} ${CMAKE_C_FLAGS_${build_type}}")
    string(REGEX REPLACE " +" " " bench_flags "${bench_flags}")
    set_source_files_properties(bench/harness/machine.c PROPERTIES COMPILE_DEFINITIONS BENCH_FLAGS="${bench_flags}")
    set_source_files_properties(bench/report/html.c PROPERTIES
        COMPILE_DEFINITIONS BENCH_REPORT="${PROJECT_SOURCE_DIR}/bench/report/report.py")
    add_custom_target(nsp_bench_commit BYPRODUCTS ${PROJECT_BINARY_DIR}/bench/bench_commit.h
        COMMAND ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR} -DHEADER=${PROJECT_BINARY_DIR}/bench/bench_commit.h
            -P ${PROJECT_SOURCE_DIR}/cmake/bench_commit.cmake VERBATIM)
    add_dependencies(nanospan-bench nsp_bench_commit)
    target_include_directories(nanospan-bench PRIVATE ${PROJECT_BINARY_DIR}/bench)

    # The order path of the example engine, compiled twice: traced, and with tracing compiled out. Each
    # becomes one object that exports only its table of functions, so that both can be linked into one
    # program.
    set(engine_sources bench/order_path/engine/path.c examples/shared/stream.c)
    foreach(part account book calls drop_copy engine faults instrument life order process stages stopwatch)
        list(APPEND engine_sources examples/engine/${part}.c)
    endforeach()
    foreach(variant traced untraced)
        add_library(bench_engine_${variant} OBJECT ${engine_sources})
        target_include_directories(bench_engine_${variant} PRIVATE bench examples core/include)
        target_link_libraries(bench_engine_${variant} PRIVATE nsp_strict)
        target_compile_definitions(bench_engine_${variant} PRIVATE ORDER_TABLE=order_path_${variant})
        nsp_merge(whole bench_engine_${variant} --keep-global-symbol=order_path_${variant}
            $<TARGET_OBJECTS:bench_engine_${variant}>)
        target_sources(nanospan-bench PRIVATE ${whole})
    endforeach()
    target_compile_definitions(bench_engine_untraced PRIVATE NSP_DISABLE)
    target_sources(nanospan-bench PRIVATE examples/feed/order_file.c)
    target_include_directories(nanospan-bench PRIVATE examples)
    target_compile_definitions(nanospan-bench PRIVATE BENCH_ORDERS="${PROJECT_SOURCE_DIR}/examples/orders/orders.csv")
endif()
