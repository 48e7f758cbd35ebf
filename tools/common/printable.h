/* Text of others, made fit for a terminal. */
#ifndef TOOLS_COMMON_PRINTABLE_H
#define TOOLS_COMMON_PRINTABLE_H

#include "common/text.h"

/*
 * Adds `length` bytes as UTF-8 text on one line that shows and does nothing else: control characters (C0, DEL, C1), line and paragraph
 * separators and the controls of writing direction become \uXXXX, which in a JSON string means the same; a byte that is no UTF-8 becomes
 * \xXX.
 */
void printable_add(struct text *text, const char *bytes, size_t length);

#endif
