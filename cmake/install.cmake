# SPDX-License-Identifier: Apache-2.0
#
# What `cmake --install` installs, and how others find it: find_package(nanospan) and pkg-config.

include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/nanospan)

install(FILES ${public_headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/nanospan)
install(FILES ${abi_headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/nanospan/abi)
install(FILES ${cpp_headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/nanospan/cpp)

# Each library and form is exported separately: only the users of a static one must find its dependencies.
foreach(library nanospan-core nanospan)
    string(REPLACE - _ target ${library})
    foreach(form shared static)
        string(REGEX REPLACE "^static$" "_static" suffix ${form})
        string(REGEX REPLACE "^shared$" "" suffix ${suffix})
        if(NOT TARGET ${target}${suffix})
            continue()
        endif()
        set(skip)
        if(library STREQUAL nanospan)
            set(skip NAMELINK_SKIP)
        endif()
        install(TARGETS ${target}${suffix} EXPORT ${library}-${form}
            ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
            LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ${skip})
        install(EXPORT ${library}-${form} NAMESPACE nanospan:: DESTINATION ${package_dir}
            FILE ${library}-${form}-targets.cmake)
    endforeach()
endforeach()

# -lnanospan alone is enough: libnanospan.so is a script that names all that has to be linked.
install(FILES $<TARGET_OBJECTS:nsp_link> DESTINATION ${CMAKE_INSTALL_LIBDIR} RENAME nanospan-link.o)
if(TARGET nanospan)
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/libnanospan.ld @ONLY CONTENT
"/* GNU ld script. The library itself is libnanospan.so.@NSP_ABI_VERSION@. */
INPUT(nanospan-link.o libnanospan.so.@NSP_ABI_VERSION@ AS_NEEDED(libnanospan-core.so.@NSP_ABI_VERSION@))
")
    install(FILES ${PROJECT_BINARY_DIR}/libnanospan.ld DESTINATION ${CMAKE_INSTALL_LIBDIR} RENAME libnanospan.so)
endif()

configure_package_config_file(cmake/nanospan-config.cmake.in ${PROJECT_BINARY_DIR}/nanospan-config.cmake
    INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/nanospan-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/nanospan-config.cmake ${PROJECT_BINARY_DIR}/nanospan-config-version.cmake
    DESTINATION ${package_dir})

# Paths in a .pc file are relative to it, so that an installed tree can be moved.
cmake_path(SET pc_dir NORMALIZE "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig")
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY ${pc_dir} OUTPUT_VARIABLE pc_prefix)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_LIBDIR BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX} OUTPUT_VARIABLE pc_libdir)
cmake_path(RELATIVE_PATH CMAKE_INSTALL_FULL_INCLUDEDIR BASE_DIRECTORY ${CMAKE_INSTALL_PREFIX} OUTPUT_VARIABLE pc_includedir)
foreach(library nanospan-core nanospan)
    configure_file(cmake/${library}.pc.in ${PROJECT_BINARY_DIR}/${library}.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/${library}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
