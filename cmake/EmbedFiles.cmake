# verge_embed_files(target FOLDER folder PATTERNS *.html *.js [TYPE verge::hub::WebFile])
#
# Compiles the folder's files into the target: a generated source defines
# embedded_files() of "embedded_files.h", a list of TYPE {name, bytes}; a name is the file's path below the folder. Absent files are
# fine (the list is empty); a changed one is embedded again at the next build.
set(VERGE_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/embed_files_script.cmake)

function(verge_embed_files target)
  cmake_parse_arguments(EMBED "" "FOLDER;TYPE" "PATTERNS" ${ARGN})
  if(NOT EMBED_TYPE)
    set(EMBED_TYPE verge::hub::WebFile)
  endif()
  list(TRANSFORM EMBED_PATTERNS PREPEND ${EMBED_FOLDER}/)
  file(GLOB files CONFIGURE_DEPENDS ${EMBED_PATTERNS})
  list(SORT files)
  set(generated ${CMAKE_CURRENT_BINARY_DIR}/embedded_files.cc)
  add_custom_command(
    OUTPUT ${generated}
    COMMAND ${CMAKE_COMMAND} "-DFILES=${files}" -DFOLDER=${EMBED_FOLDER} -DTYPE=${EMBED_TYPE} -DOUTPUT=${generated} -P ${VERGE_EMBED_SCRIPT}
    DEPENDS ${files} ${VERGE_EMBED_SCRIPT}
    VERBATIM)
  target_sources(${target} PRIVATE ${generated})
endfunction()
