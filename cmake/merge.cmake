# SPDX-License-Identifier: Apache-2.0
#
# One object out of many.

# nsp_merge(VARIABLE NAME OBJCOPY_OPTIONS OBJECT... [ARCHIVES TARGET...]) links the objects into one,
# NAME_whole.o, with what they use of the archives, and lets objcopy hide what OBJCOPY_OPTIONS says of its
# names; VARIABLE becomes its path. By way of an archive of its own: a rule that depended on the objects
# themselves would be understood by Ninja only, where each rule knows each file. Make knows an object
# library's files only in the library's own rules.
function(nsp_merge variable name objcopy_options)
    cmake_parse_arguments(PARSE_ARGV 3 merged "" "" ARCHIVES)
    set(whole ${CMAKE_CURRENT_BINARY_DIR}/${name}_whole.o)
    add_library(${name}_parts STATIC ${merged_UNPARSED_ARGUMENTS})
    set_target_properties(${name}_parts PROPERTIES LINKER_LANGUAGE C ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
    set(archives)
    foreach(archive IN LISTS merged_ARCHIVES)
        list(APPEND archives $<TARGET_FILE:${archive}>)
    endforeach()
    add_custom_command(OUTPUT ${whole}
        COMMAND ${CMAKE_LINKER} -r -o ${whole} --whole-archive $<TARGET_FILE:${name}_parts> --no-whole-archive ${archives}
        COMMAND ${CMAKE_OBJCOPY} ${objcopy_options} ${whole}
        DEPENDS ${name}_parts ${merged_ARCHIVES} VERBATIM)
    set_source_files_properties(${whole} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
    set(${variable} ${whole} PARENT_SCOPE)
endfunction()
