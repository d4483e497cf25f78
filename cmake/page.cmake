# SPDX-License-Identifier: Apache-2.0
#
# The page of traces: puts the files of tools/nanospan/page/web together and embeds the result, the template, into
# nsp_page, which becomes part of the command. Run as a script, with SOURCE and TEMPLATE, it does the first of these.

# Scripts in the order in which they stand in the page; those that are not listed come before live.js.
set(page_scripts units.js visible.js pack.js trace_tree.js filters.js statistics.js chart.js distribution.js
    time_axis.js waterfall_words.js waterfall_scale.js waterfall_rows.js waterfall_draw.js waterfall_input.js waterfall.js
    trace_head.js span_notes.js details.js comparison.js trace_list.js live.js app.js)

if(NOT CMAKE_SCRIPT_MODE_FILE)
    set(page_source ${PROJECT_SOURCE_DIR}/tools/nanospan/page/web)
    set(page_template ${PROJECT_BINARY_DIR}/page/template.html)
    file(GLOB page_files CONFIGURE_DEPENDS ${page_source}/*.html ${page_source}/*.css ${page_source}/*.js)
    # Changes when a file comes or goes, which no time of a file tells.
    file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/page/files CONTENT "${page_files}\n" @ONLY)
    add_custom_command(OUTPUT ${page_template}
        COMMAND ${CMAKE_COMMAND} -DSOURCE=${page_source} -DTEMPLATE=${page_template} -P ${CMAKE_CURRENT_LIST_FILE}
        DEPENDS ${page_files} ${PROJECT_BINARY_DIR}/page/files ${CMAKE_CURRENT_LIST_FILE}
        COMMENT "Putting the page of traces together" VERBATIM)
    configure_file(${CMAKE_CURRENT_LIST_DIR}/page_template.c.in ${PROJECT_BINARY_DIR}/page/template.c @ONLY)
    # Objects and no archive: with link-time optimisation, a linker does not find names of assembly in an archive.
    add_library(nsp_page OBJECT EXCLUDE_FROM_ALL ${PROJECT_BINARY_DIR}/page/template.c)
    set_source_files_properties(${PROJECT_BINARY_DIR}/page/template.c PROPERTIES OBJECT_DEPENDS ${page_template})
    return()
endif()

cmake_minimum_required(VERSION 3.25)

# Puts the contents of the files into VARIABLE, each after a line with its name. END would end the page's element.
function(join variable end)
    set(joined "")
    foreach(name IN LISTS ARGN)
        file(READ "${SOURCE}/${name}" content)
        string(TOLOWER "${content}" lower)
        string(FIND "${lower}" "${end}" at)
        if(NOT at EQUAL -1)
            message(FATAL_ERROR "${name} contains ${end}, which ends the element of the page in which it stands")
        endif()
        string(APPEND joined "/* ${name} */\n${content}\n")
    endforeach()
    set(${variable} "${joined}" PARENT_SCOPE)
endfunction()

file(GLOB found RELATIVE "${SOURCE}" "${SOURCE}/*.js")
set(last live.js app.js)
set(first ${page_scripts})
list(REMOVE_ITEM first ${last})
set(others ${found})
list(REMOVE_ITEM others ${page_scripts})
list(SORT others)
set(scripts)
foreach(name IN LISTS first others last)
    if(name IN_LIST found)
        list(APPEND scripts ${name})
    endif()
endforeach()
file(GLOB styles RELATIVE "${SOURCE}" "${SOURCE}/*.css")
list(SORT styles)
list(REMOVE_ITEM styles page.css)
join(script "</script" ${scripts})
join(style "</style" page.css ${styles})
file(READ "${SOURCE}/page.html" page)
string(REPLACE "@STYLE@" "${style}" page "${page}")
string(REPLACE "@SCRIPT@" "${script}" page "${page}")
file(WRITE "${TEMPLATE}" "${page}")
