# SPDX-License-Identifier: Apache-2.0
#
# The library: common, core and exporters, compiled once for each of the shared and the static form, and again
# for the tests.

file(GLOB common_sources CONFIGURE_DEPENDS common/*.c)
file(GLOB_RECURSE core_sources CONFIGURE_DEPENDS core/*.c)
# Records are copied word by word, because a load that spans two of the stores that wrote it would have to
# wait for both.
set_source_files_properties(core/trace/begin_fast.c core/trace/end_fast.c core/trace/end_slow.c core/trace/stack.c
    PROPERTIES COMPILE_OPTIONS -fno-tree-slp-vectorize)
file(GLOB_RECURSE exporter_sources CONFIGURE_DEPENDS exporters/*.c)
file(GLOB proto_files CONFIGURE_DEPENDS exporters/proto/*.proto)
file(GLOB public_headers CONFIGURE_DEPENDS core/include/nanospan/*.h exporters/include/nanospan/*.h)
file(GLOB abi_headers CONFIGURE_DEPENDS core/include/nanospan/abi/*.h)

# Protobuf messages: NAME.proto becomes NAME.pb-c.h and NAME.pb-c.c in the build folder.
set(proto_dir ${PROJECT_BINARY_DIR}/proto)
set(proto_sources)
foreach(proto IN LISTS proto_files)
    cmake_path(GET proto STEM stem)
    add_custom_command(
        OUTPUT ${proto_dir}/${stem}.pb-c.c ${proto_dir}/${stem}.pb-c.h
        COMMAND ${CMAKE_COMMAND} -E make_directory ${proto_dir}
        COMMAND ${PROTOC_C} --proto_path=${PROJECT_SOURCE_DIR}/exporters/proto --c_out=${proto_dir} ${proto}
        DEPENDS ${proto} VERBATIM)
    list(APPEND proto_sources ${proto_dir}/${stem}.pb-c.c)
endforeach()
file(MAKE_DIRECTORY ${proto_dir})
add_custom_target(nsp_proto_generated DEPENDS ${proto_sources})

# The options of every object of the library. Thread-local variables are initial-exec: one load, no call. There is no
# link-time optimisation, even in a program that is built with it: neither `ld -r` nor objcopy can work on its objects.
add_library(nsp_object_flags INTERFACE)
target_compile_options(nsp_object_flags INTERFACE -ftls-model=initial-exec -fno-lto)
target_link_libraries(nsp_object_flags INTERFACE ${nsp_dependencies})

# nsp_add_objects(NAME VISIBILITY [DEFINITION...]) compiles all sources into object libraries and lists the
# objects in NAME_objects. The include paths separate the parts: core cannot include exporters, and common,
# which everything may include by its path from the root of the repository, can include only itself.
function(nsp_add_objects name visibility)
    add_library(${name}_common OBJECT ${common_sources})
    target_include_directories(${name}_common PRIVATE ${PROJECT_SOURCE_DIR})
    target_link_libraries(${name}_common PRIVATE nsp_strict)
    set(parts ${name}_common)
    if(core_sources)
        add_library(${name}_core OBJECT ${core_sources})
        target_include_directories(${name}_core PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/core
            ${PROJECT_SOURCE_DIR}/core/include)
        target_link_libraries(${name}_core PRIVATE nsp_strict)
        list(APPEND parts ${name}_core)
    endif()
    if(exporter_sources)
        add_library(${name}_exporters OBJECT ${exporter_sources})
        add_dependencies(${name}_exporters nsp_proto_generated)
        target_include_directories(${name}_exporters PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/exporters
            ${PROJECT_SOURCE_DIR}/exporters/include ${PROJECT_SOURCE_DIR}/core/include)
        target_include_directories(${name}_exporters SYSTEM PRIVATE ${proto_dir})
        target_link_libraries(${name}_exporters PRIVATE nsp_strict)
        list(APPEND parts ${name}_exporters)
    endif()
    if(proto_sources)
        add_library(${name}_proto OBJECT ${proto_sources})
        target_include_directories(${name}_proto SYSTEM PRIVATE ${proto_dir})
        list(APPEND parts ${name}_proto)
    endif()
    set(objects)
    foreach(part IN LISTS parts)
        target_link_libraries(${part} PRIVATE nsp_object_flags)
        target_compile_definitions(${part} PRIVATE ${ARGN})
        set_target_properties(${part} PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET ${visibility})
        list(APPEND objects $<TARGET_OBJECTS:${part}>)
    endforeach()
    set(${name}_objects ${objects} PARENT_SCOPE)
endfunction()

set(public_include_dirs
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/core/include>
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/exporters/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
if(NOT (core_sources OR exporter_sources))
    message(STATUS "nanospan: there are no library sources; the library is not built")
    return()
endif()
nsp_add_objects(nsp hidden)

# common as an archive, for programs that are linked with the library, which does not export it: each takes
# what it uses.
add_library(nsp_common_archive STATIC $<TARGET_OBJECTS:nsp_common>)
set_target_properties(nsp_common_archive PROPERTIES LINKER_LANGUAGE C)

if(NSP_BUILD_SHARED)
    add_library(nanospan SHARED ${nsp_objects})
    target_include_directories(nanospan INTERFACE ${public_include_dirs})
    target_link_libraries(nanospan PRIVATE ${nsp_dependencies})
    # nodelete: mappings and threads survive a dlclose. now: no lazy binding on a trading thread.
    target_link_options(nanospan PRIVATE -Wl,-z,nodelete -Wl,-z,now)
    set_target_properties(nanospan PROPERTIES LINKER_LANGUAGE C SOVERSION ${NSP_ABI_VERSION}
        VERSION ${NSP_ABI_VERSION}.${PROJECT_VERSION})
    if(NOT NSP_SANITIZE)
        target_link_options(nanospan PRIVATE -Wl,-z,defs)
    endif()
    add_library(nanospan::nanospan ALIAS nanospan)
endif()

if(NSP_BUILD_STATIC)
    # The archive has one object with its hidden symbols made local: a program gets the whole library or
    # nothing, and internal names cannot clash with those of the program.
    nsp_merge(whole nanospan --localize-hidden ${nsp_objects})
    add_library(nanospan_static STATIC ${whole})
    target_include_directories(nanospan_static INTERFACE ${public_include_dirs})
    target_link_libraries(nanospan_static PRIVATE ${nsp_dependencies})
    set_target_properties(nanospan_static PROPERTIES OUTPUT_NAME nanospan LINKER_LANGUAGE C)
    add_library(nanospan::nanospan_static ALIAS nanospan_static)
    if(NOT NSP_BUILD_SHARED)
        add_library(nanospan::nanospan ALIAS nanospan_static)
    endif()
endif()

# For programs of this repository that use internals: an archive with all names visible, and the include paths
# of the internal headers. A program gets only the objects that it uses.
function(nsp_add_internal name objects)
    add_library(${name}_archive STATIC ${objects})
    set_target_properties(${name}_archive PROPERTIES LINKER_LANGUAGE C)
    target_link_libraries(${name}_archive INTERFACE ${nsp_dependencies}) # which come behind it
    add_library(${name} INTERFACE)
    target_include_directories(${name} INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/core ${PROJECT_SOURCE_DIR}/core/include
        ${PROJECT_SOURCE_DIR}/exporters ${PROJECT_SOURCE_DIR}/exporters/include)
    target_include_directories(${name} SYSTEM INTERFACE ${proto_dir})
    target_compile_definitions(${name} INTERFACE ${ARGN})
    target_link_libraries(${name} INTERFACE ${name}_archive ${nsp_dependencies})
endfunction()

# The bench measures the objects of the shipped library.
if(NSP_BUILD_BENCH)
    nsp_add_internal(nanospan_shipped "${nsp_objects}")
endif()

# The tests have their own copy: with testpoints, and with internals visible to plug-ins that a test loads.
if(NSP_BUILD_TESTS)
    set(test_definitions $<$<BOOL:${NSP_TESTPOINTS}>:NSP_TESTPOINTS=1>)
    nsp_add_objects(nsp_test default ${test_definitions})
    nsp_add_internal(nanospan_internal "${nsp_test_objects}" ${test_definitions})
endif()
