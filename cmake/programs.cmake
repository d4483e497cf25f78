# SPDX-License-Identifier: Apache-2.0
#
# The programs. The command may include the public headers and common; the examples, which readers copy, may
# include only the public headers.

# nsp_add_program(NAME "FOLDER [SHARED_FOLDER...]" LIBRARY...) builds the sources in FOLDER and below, and those of
# the shared folders, into bin/NAME. A program without sources is skipped. Headers are included by their path from
# FOLDER or from the folder above.
function(nsp_add_program name folders)
    separate_arguments(folders)
    list(POP_FRONT folders folder)
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${folder}/*.c)
    if(NOT sources)
        message(STATUS "nanospan: there are no sources in ${folder}")
        return()
    endif()
    foreach(shared IN LISTS folders)
        file(GLOB shared_sources CONFIGURE_DEPENDS ${shared}/*.c)
        list(APPEND sources ${shared_sources})
    endforeach()
    add_executable(${name} ${sources})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
    target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/${folder} ${PROJECT_SOURCE_DIR}/${folder}/..)
    target_link_libraries(${name} PRIVATE nsp_strict ${ARGN} Threads::Threads m)
endfunction()

if(NSP_BUILD_TOOLS)
    nsp_add_program(nanospan-command tools/nanospan nanospan::nanospan PkgConfig::MICROHTTPD PkgConfig::JANSSON
        PkgConfig::DEFLATE PkgConfig::PROTOBUF_C PkgConfig::CURL PkgConfig::NCURSESW)
    if(TARGET nanospan-command)
        set_target_properties(nanospan-command PROPERTIES OUTPUT_NAME nanospan)
        target_include_directories(nanospan-command PRIVATE ${PROJECT_SOURCE_DIR})
        target_link_libraries(nanospan-command PRIVATE nsp_common_archive nsp_page)
        if(proto_sources)
            target_link_libraries(nanospan-command PRIVATE $<TARGET_OBJECTS:nsp_proto>)
            target_include_directories(nanospan-command SYSTEM PRIVATE ${proto_dir})
            add_dependencies(nanospan-command nsp_proto_generated)
        endif()
        if(NSP_INSTALL)
            set_target_properties(nanospan-command PROPERTIES
                INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
            install(TARGETS nanospan-command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
        endif()
    endif()
endif()

if(NSP_BUILD_EXAMPLES)
    set(shared "examples/shared examples/protocol")
    nsp_add_program(engine "examples/engine ${shared}" nanospan::nanospan)
    nsp_add_program(engine-core "examples/engine ${shared}" nanospan::core) # without exporters: drained from outside
    nsp_add_program(feed "examples/feed ${shared}" nanospan::nanospan)
endif()

# The trading platform. Headers are included by their path from examples/.
if(NSP_BUILD_EXAMPLES AND TARGET nanospan::curl AND TARGET nanospan::microhttpd)
    set(platform examples/platform)
    foreach(part backend ai_engine execution load)
        string(REPLACE _ - program platform-${part})
        set(folders "${platform}/${part} ${shared}")
        set(libraries nanospan::nanospan nanospan::curl PkgConfig::CURL PkgConfig::JANSSON)
        if(NOT part STREQUAL load)
            string(APPEND folders " ${platform}/service")
            list(APPEND libraries nanospan::microhttpd PkgConfig::MICROHTTPD PkgConfig::SQLITE)
        endif()
        nsp_add_program(${program} "${folders}" ${libraries})
        if(TARGET ${program})
            target_include_directories(${program} PRIVATE ${PROJECT_SOURCE_DIR}/examples)
        endif()
    endforeach()
endif()
