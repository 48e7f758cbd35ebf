/* Makes text of unknown origin safe to print on a terminal. */
#ifndef TOOLS_COMMON_PRINTABLE_H
#define TOOLS_COMMON_PRINTABLE_H

#include "common/text.h"

/*
 * Adds `length` bytes as one line of UTF-8 text without control characters: C0, DEL, C1, line and paragraph separators and the controls of
 * writing direction become \uXXXX, which means the same in a JSON string; a byte that is not UTF-8 becomes \xXX.
 */
void printable_add(struct text *text, const char *bytes, size_t length);

#endif
