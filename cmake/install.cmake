# SPDX-License-Identifier: Apache-2.0
#
# What `cmake --install` installs, and how others find it: find_package(nanospan) and pkg-config.

include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/nanospan)

install(FILES ${public_headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/nanospan)
install(FILES ${abi_headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/nanospan/abi)

# The two forms are exported separately: only the users of the static one must find its dependencies.
foreach(form shared static)
    set(target nanospan)
    if(form STREQUAL static)
        set(target nanospan_static)
    endif()
    if(TARGET ${target})
        install(TARGETS ${target} EXPORT nanospan-${form}
            ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
            LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
        install(EXPORT nanospan-${form} NAMESPACE nanospan:: DESTINATION ${package_dir}
            FILE nanospan-${form}-targets.cmake)
    endif()
endforeach()

configure_package_config_file(cmake/nanospan-config.cmake.in ${PROJECT_BINARY_DIR}/nanospan-config.cmake
    INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/nanospan-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/nanospan-config.cmake ${PROJECT_BINARY_DIR}/nanospan-config-version.cmake
    DESTINATION ${package_dir})

# Paths in nanospan.pc are relative to the file, so that an installed tree can be moved.
cmake_path(SET pc_dir NORMALIZE "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig")
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY ${pc_dir} OUTPUT_VARIABLE pc_prefix)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_LIBDIR BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX} OUTPUT_VARIABLE pc_libdir)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_INCLUDEDIR BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX} OUTPUT_VARIABLE pc_includedir)
configure_file(cmake/nanospan.pc.in ${PROJECT_BINARY_DIR}/nanospan.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/nanospan.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
