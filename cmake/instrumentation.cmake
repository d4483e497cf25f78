# SPDX-License-Identifier: Apache-2.0
#
# Libraries that trace the work of other libraries: libnanospan-NAME, target nanospan::NAME, on top of
# nanospan's public headers. Each is built if the library that it traces is installed, in the same forms as
# nanospan itself.

if(NOT TARGET nanospan::nanospan)
    return()
endif()
if(NOT TARGET PkgConfig::MICROHTTPD)
    pkg_check_modules(MICROHTTPD IMPORTED_TARGET libmicrohttpd)
endif()
file(GLOB instrumentation_http CONFIGURE_DEPENDS instrumentation/http/*.c)

# nsp_add_instrumentation(NAME PREFIX MODULE VERSION) builds instrumentation/NAME/*.c and the shared sources,
# if pkg-config's MODULE, found as PREFIX, has at least this version.
function(nsp_add_instrumentation name prefix module version)
    file(GLOB sources CONFIGURE_DEPENDS instrumentation/${name}/*.c)
    list(APPEND sources ${instrumentation_http})
    if(NOT TARGET PkgConfig::${prefix} OR ${prefix}_VERSION VERSION_LESS version)
        message(STATUS "nanospan: ${module} ${version} or newer was not found; nanospan::${name} is not built")
        return()
    endif()
    set(objects nsp_${name}_objects)
    add_library(${objects} OBJECT ${sources})
    target_include_directories(${objects} PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/instrumentation
        ${PROJECT_SOURCE_DIR}/instrumentation/include ${PROJECT_SOURCE_DIR}/core/include)
    target_link_libraries(${objects} PRIVATE nsp_strict PkgConfig::${prefix} Threads::Threads)
    target_compile_options(${objects} PRIVATE -fno-lto) # as the library's own objects
    set_target_properties(${objects} PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)

    set(include_dirs $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/instrumentation/include>
        $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    if(TARGET nanospan)
        set(target nanospan_${name})
        add_library(${target} SHARED $<TARGET_OBJECTS:${objects}>)
        # It uses the core; who links it gets the exporters too.
        target_link_libraries(${target} PUBLIC PkgConfig::${prefix} INTERFACE nanospan
            PRIVATE nanospan_core nsp_common_archive Threads::Threads)
        target_link_options(${target} PRIVATE -Wl,-z,now)
        if(NOT NSP_SANITIZE)
            target_link_options(${target} PRIVATE -Wl,-z,defs)
        endif()
        set_target_properties(${target} PROPERTIES OUTPUT_NAME nanospan-${name} EXPORT_NAME ${name} LINKER_LANGUAGE C
            SOVERSION ${NSP_ABI_VERSION} VERSION ${NSP_ABI_VERSION}.${PROJECT_VERSION} INSTALL_RPATH "$ORIGIN")
        target_include_directories(${target} INTERFACE ${include_dirs})
        add_library(nanospan::${name} ALIAS ${target})
    endif()
    if(TARGET nanospan_static)
        # One object, like in the main library.
        set(target nanospan_${name}_static)
        nsp_merge(whole nanospan_${name} --localize-hidden $<TARGET_OBJECTS:${objects}> ARCHIVES nsp_common_archive)
        add_library(${target} STATIC ${whole})
        target_link_libraries(${target} PUBLIC nanospan_static PkgConfig::${prefix} Threads::Threads)
        set_target_properties(${target} PROPERTIES OUTPUT_NAME nanospan-${name} EXPORT_NAME ${name}_static
            LINKER_LANGUAGE C)
        target_include_directories(${target} INTERFACE ${include_dirs})
        add_library(nanospan::${name}_static ALIAS ${target})
        if(NOT TARGET nanospan::${name})
            add_library(nanospan::${name} ALIAS ${target})
        endif()
    endif()
    set_property(GLOBAL APPEND PROPERTY NSP_INSTRUMENTATION ${name})
    set_property(GLOBAL PROPERTY NSP_INSTRUMENTATION_${name} ${module})
endfunction()

nsp_add_instrumentation(microhttpd MICROHTTPD libmicrohttpd 0.9.75)
nsp_add_instrumentation(curl CURL libcurl 7.72)

if(NSP_INSTALL)
    get_property(names GLOBAL PROPERTY NSP_INSTRUMENTATION)
    foreach(name IN LISTS names)
        get_property(module GLOBAL PROPERTY NSP_INSTRUMENTATION_${name})
        install(FILES instrumentation/include/nanospan/${name}.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/nanospan)
        foreach(form shared static)
            set(target nanospan_${name})
            if(form STREQUAL static)
                string(APPEND target _static)
            endif()
            if(TARGET ${target})
                install(TARGETS ${target} EXPORT nanospan-${name}-${form}
                    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
                    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
                install(EXPORT nanospan-${name}-${form} NAMESPACE nanospan:: DESTINATION ${package_dir}
                    FILE nanospan-${name}-${form}-targets.cmake)
            endif()
        endforeach()
        configure_file(cmake/nanospan-instrumentation.pc.in ${PROJECT_BINARY_DIR}/nanospan-${name}.pc @ONLY)
        install(FILES ${PROJECT_BINARY_DIR}/nanospan-${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
    endforeach()
endif()
