# SPDX-License-Identifier: Apache-2.0
#
# What comes with the command: man pages, which are made from its --help, bash's completion, and the agent's systemd unit.

if(NOT TARGET nanospan-command)
    return()
endif()

# The command has to run here, and the script that writes the pages needs Python.
find_package(Python3 QUIET COMPONENTS Interpreter)
if(Python3_FOUND AND NOT CMAKE_CROSSCOMPILING AND NOT NSP_SANITIZE)
    set(manual_script ${PROJECT_SOURCE_DIR}/tools/manual/manual.py)
    add_custom_command(OUTPUT ${PROJECT_BINARY_DIR}/man/nanospan.1
        COMMAND ${Python3_EXECUTABLE} ${manual_script} $<TARGET_FILE:nanospan-command> ${PROJECT_BINARY_DIR}/man
        DEPENDS nanospan-command ${manual_script} VERBATIM)
    add_custom_target(nanospan-manual ALL DEPENDS ${PROJECT_BINARY_DIR}/man/nanospan.1)
elseif(NOT Python3_FOUND)
    message(STATUS "nanospan: Python 3 was not found; there will be no man pages")
endif()

if(NSP_INSTALL)
    set(NSP_SYSTEMD_UNIT_DIR lib/systemd/system CACHE STRING "Where systemd's units are installed, below the prefix or as a full path")
    # Only what was built: no pages were if somebody has built the command alone.
    install(DIRECTORY ${PROJECT_BINARY_DIR}/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 OPTIONAL
        FILES_MATCHING PATTERN "*.1")
    install(FILES tools/nanospan/completion/nanospan.sh
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME nanospan)
    # The unit names the program where it is installed.
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS deploy/nanospan-agent@.service)
    file(READ deploy/nanospan-agent@.service unit)
    string(REPLACE "/usr/local/bin/" "${CMAKE_INSTALL_FULL_BINDIR}/" unit "${unit}")
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/nanospan-agent@.service CONTENT "${unit}" @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/nanospan-agent@.service DESTINATION ${NSP_SYSTEMD_UNIT_DIR})
endif()
