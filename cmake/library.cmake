# SPDX-License-Identifier: Apache-2.0
#
# Two libraries: nanospan-core has common and core, nanospan has the exporters, on top of it. Their sources are
# compiled once for the shared and the static forms, and again for the tests.

file(GLOB common_sources CONFIGURE_DEPENDS common/*.c)
file(GLOB_RECURSE core_sources CONFIGURE_DEPENDS core/*.c)
# Records are copied word by word, because a load that spans two of the stores that wrote it would have to
# wait for both.
set_source_files_properties(core/trace/begin_fast.c core/trace/end_fast.c core/trace/end_slow.c core/trace/stack.c
    PROPERTIES COMPILE_OPTIONS -fno-tree-slp-vectorize)
# Distributions have the compiler protect arrays on the stack. What runs on threads that record would take up to 60
# instructions more for that, and writes into such arrays only what is known to fit. What parses texts keeps the protection.
file(GLOB recording_sources CONFIGURE_DEPENDS core/trace/*.c core/context/context.c)
list(FILTER recording_sources EXCLUDE REGEX "_(text|rules|change)\\.c$|/pattern\\.c$")
set_property(SOURCE ${recording_sources} APPEND PROPERTY COMPILE_OPTIONS -fno-stack-protector)
if(NSP_HAVE_SDT)
    set_source_files_properties(core/trace/outlier_kept.c PROPERTIES COMPILE_DEFINITIONS NSP_USDT=1)
endif()
file(GLOB_RECURSE exporter_sources CONFIGURE_DEPENDS exporters/*.c)
file(GLOB proto_files CONFIGURE_DEPENDS exporters/proto/*.proto)
file(GLOB public_headers CONFIGURE_DEPENDS core/include/nanospan/*.h core/include/nanospan/*.hpp exporters/include/nanospan/*.h)
file(GLOB abi_headers CONFIGURE_DEPENDS core/include/nanospan/abi/*.h)
file(GLOB cpp_headers CONFIGURE_DEPENDS core/include/nanospan/cpp/*.hpp)

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

# The options of every object of the libraries. Thread-local variables are initial-exec: one load, no call. There is no
# link-time optimisation, even in a program that is built with it: neither `ld -r` nor objcopy can work on its objects.
add_library(nsp_object_flags INTERFACE)
target_compile_options(nsp_object_flags INTERFACE -ftls-model=initial-exec -fno-lto)

# nsp_add_objects(NAME VISIBILITY [DEFINITION...]) compiles all sources into object libraries and lists their objects
# in NAME_common_objects, NAME_core_objects and NAME_exporter_objects. The include paths separate the parts: core
# cannot include exporters, and common, which everything may include by its path from the root of the repository, can
# include only itself.
function(nsp_add_objects name visibility)
    set(core_dirs ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/core ${PROJECT_SOURCE_DIR}/core/include)
    set(exporter_dirs ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/exporters ${PROJECT_SOURCE_DIR}/exporters/include
        ${PROJECT_SOURCE_DIR}/core/include)
    add_library(${name}_common OBJECT ${common_sources})
    target_include_directories(${name}_common PRIVATE ${PROJECT_SOURCE_DIR})
    add_library(${name}_core OBJECT ${core_sources})
    target_include_directories(${name}_core PRIVATE ${core_dirs})
    target_link_libraries(${name}_core PRIVATE ${nsp_core_dependencies})
    add_library(${name}_exporters OBJECT ${exporter_sources})
    add_dependencies(${name}_exporters nsp_proto_generated)
    target_include_directories(${name}_exporters PRIVATE ${exporter_dirs})
    target_include_directories(${name}_exporters SYSTEM PRIVATE ${proto_dir})
    target_link_libraries(${name}_exporters PRIVATE ${nsp_exporter_dependencies})
    foreach(part common core exporters)
        target_link_libraries(${name}_${part} PRIVATE nsp_strict)
    endforeach()
    add_library(${name}_proto OBJECT ${proto_sources})
    target_include_directories(${name}_proto SYSTEM PRIVATE ${proto_dir})
    target_link_libraries(${name}_proto PRIVATE PkgConfig::PROTOBUF_C)
    foreach(part common core exporters proto)
        target_link_libraries(${name}_${part} PRIVATE nsp_object_flags)
        target_compile_definitions(${name}_${part} PRIVATE ${ARGN})
        set_target_properties(${name}_${part} PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET ${visibility})
    endforeach()
    set(${name}_common_objects $<TARGET_OBJECTS:${name}_common> PARENT_SCOPE)
    set(${name}_core_objects $<TARGET_OBJECTS:${name}_core> PARENT_SCOPE)
    set(${name}_exporter_objects $<TARGET_OBJECTS:${name}_exporters> $<TARGET_OBJECTS:${name}_proto> PARENT_SCOPE)
endfunction()

set(public_include_dirs
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/core/include>
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/exporters/include>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
nsp_add_objects(nsp hidden)

# common as an archive, for the libraries and for programs that are linked with them, since they do not export it: each
# takes what it uses.
add_library(nsp_common_archive STATIC ${nsp_common_objects})
set_target_properties(nsp_common_archive PROPERTIES LINKER_LANGUAGE C)

# nanospan-link.o: what is linked with nanospan is linked with this too, so that linkers do not leave out the exporters.
# An option of the linker, unlike a library, is not in an order with others.
add_library(nsp_link OBJECT cmake/link.c)
target_include_directories(nsp_link PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/core/include)
target_link_libraries(nsp_link PRIVATE nsp_strict nsp_object_flags)
set_target_properties(nsp_link PROPERTIES POSITION_INDEPENDENT_CODE ON)
set(nsp_link_option $<BUILD_INTERFACE:$<TARGET_OBJECTS:nsp_link>>
    $<INSTALL_INTERFACE:$<INSTALL_PREFIX>/${CMAKE_INSTALL_LIBDIR}/nanospan-link.o>)

# nsp_add_shared(TARGET NAME OBJECT...): libNAME.so
function(nsp_add_shared target name)
    add_library(${target} SHARED ${ARGN})
    target_include_directories(${target} INTERFACE ${public_include_dirs})
    target_link_libraries(${target} PRIVATE nsp_common_archive)
    # nodelete: mappings and threads survive a dlclose. now: no lazy binding on a trading thread.
    target_link_options(${target} PRIVATE -Wl,-z,nodelete -Wl,-z,now)
    set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name} LINKER_LANGUAGE C SOVERSION ${NSP_ABI_VERSION}
        VERSION ${NSP_ABI_VERSION}.${PROJECT_VERSION})
    if(NOT NSP_SANITIZE)
        target_link_options(${target} PRIVATE -Wl,-z,defs)
    endif()
endfunction()

# nsp_add_static(TARGET NAME OBJECT...): libNAME.a
function(nsp_add_static target name)
    add_library(${target} STATIC ${ARGN})
    target_include_directories(${target} INTERFACE ${public_include_dirs})
    set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name} LINKER_LANGUAGE C)
endfunction()

if(NSP_BUILD_SHARED)
    nsp_add_shared(nanospan_core nanospan-core ${nsp_core_objects})
    target_link_libraries(nanospan_core PRIVATE ${nsp_core_dependencies})
    nsp_add_shared(nanospan nanospan ${nsp_exporter_objects})
    target_link_libraries(nanospan PUBLIC nanospan_core PRIVATE ${nsp_exporter_dependencies})
    set_target_properties(nanospan PROPERTIES INSTALL_RPATH "$ORIGIN") # the core lies beside it
endif()

if(NSP_BUILD_STATIC)
    # One object each, with its hidden symbols made local: a program gets a whole library or nothing, and internal
    # names cannot clash with those of the program.
    # <sys/sdt.h> puts the base of its probes into a group that linkers share by the name of this hidden symbol.
    set(hide --localize-hidden --globalize-symbol=_.stapsdt.base)
    nsp_merge(core_whole nanospan_core "${hide}" ${nsp_core_objects} ARCHIVES nsp_common_archive)
    nsp_add_static(nanospan_core_static nanospan-core ${core_whole})
    target_link_libraries(nanospan_core_static PRIVATE ${nsp_core_dependencies})
    # libnanospan.a has the core too, for those who link it alone, with a reference to the exporters. A linker takes
    # the core from the first archive that has it, and no other one.
    nsp_merge(exporters_whole nanospan_exporters "${hide}" ${nsp_exporter_objects} ARCHIVES nsp_common_archive)
    nsp_merge(both_whole nanospan_both "${hide}" ${core_whole} $<TARGET_OBJECTS:nsp_link>)
    add_dependencies(nanospan_both_parts nanospan_core_static) # Make would make the core's object in both at the same time
    nsp_add_static(nanospan_static nanospan ${exporters_whole} ${both_whole})
    target_link_libraries(nanospan_static PUBLIC nanospan_core_static PRIVATE ${nsp_exporter_dependencies})
endif()

# nanospan::core and nanospan::nanospan are the shared ones or, if there are none, the static ones.
foreach(library core nanospan)
    string(REGEX REPLACE "^core$" "nanospan_core" target ${library})
    foreach(form "" _static)
        if(TARGET ${target}${form})
            set_target_properties(${target}${form} PROPERTIES EXPORT_NAME ${library}${form})
            add_library(nanospan::${library}${form} ALIAS ${target}${form})
        endif()
    endforeach()
    if(NOT NSP_BUILD_SHARED AND NSP_BUILD_STATIC)
        add_library(nanospan::${library} ALIAS ${target}_static)
    endif()
endforeach()
foreach(target nanospan nanospan_static)
    if(TARGET ${target})
        target_link_options(${target} INTERFACE ${nsp_link_option})
        add_dependencies(${target} nsp_link)
    endif()
endforeach()

# nsp_add_internal(NAME OBJECTS [DEFINITION...]), for programs of this repository that use internals: an archive with
# all names visible, and the include paths of the internal headers. A program gets only the objects that it uses.
function(nsp_add_internal name objects)
    set(dependencies ${nsp_core_dependencies} ${nsp_exporter_dependencies})
    add_library(${name}_archive STATIC ${${objects}_common_objects} ${${objects}_core_objects} ${${objects}_exporter_objects})
    set_target_properties(${name}_archive PROPERTIES LINKER_LANGUAGE C)
    target_link_libraries(${name}_archive INTERFACE ${dependencies}) # which come behind it
    add_library(${name} INTERFACE)
    target_include_directories(${name} INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/core ${PROJECT_SOURCE_DIR}/core/include
        ${PROJECT_SOURCE_DIR}/exporters ${PROJECT_SOURCE_DIR}/exporters/include)
    target_include_directories(${name} SYSTEM INTERFACE ${proto_dir})
    target_compile_definitions(${name} INTERFACE ${ARGN})
    target_link_libraries(${name} INTERFACE ${name}_archive ${dependencies})
    target_link_options(${name} INTERFACE LINKER:-u,nsp__exporters_here) # core's own reference to them is a weak one
endfunction()

# The bench measures the objects of the shipped libraries.
if(NSP_BUILD_BENCH)
    nsp_add_internal(nanospan_shipped nsp)
endif()

# The tests have their own copy: with testpoints, and with internals visible to plug-ins that a test loads.
if(NSP_BUILD_TESTS)
    set(test_definitions $<$<BOOL:${NSP_TESTPOINTS}>:NSP_TESTPOINTS=1>)
    nsp_add_objects(nsp_test default ${test_definitions})
    nsp_add_internal(nanospan_internal nsp_test ${test_definitions})
endif()
