#include "options/table.h"

#include <string.h>

#define LONGEST_NAME 63

/* Letters to insert, remove or replace to make `b` of `a` (Levenshtein), SIZE_MAX if `b` is too long. */
static size_t distance(const char *a, size_t a_length, const char *b)
{
    size_t row[LONGEST_NAME + 1], b_length = strlen(b);

    if (b_length > LONGEST_NAME)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_length; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t replaced = diagonal + (a[i - 1] != b[j - 1]), least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            diagonal = row[j];
            row[j] = replaced < least ? replaced : least;
        }
    }
    return row[b_length];
}

const char *option_nearest(const char *name, size_t length)
{
    size_t best = length / 3 + 2; /* with so many wrong letters it is another word */
    const char *nearest = NULL;

    for (unsigned i = 0; i < option_table_count && length > 0; i++) {
        size_t d = distance(name, length, option_table[i].name);
        if (d < best) {
            best = d;
            nearest = option_table[i].name;
        }
    }
    return nearest;
}
