/* Splitting the text of --eal into words, as a shell does it: at blanks, unless they are quoted. */
#ifndef DATAPLANE_ENGINE_DPDK_WORDS_H
#define DATAPLANE_ENGINE_DPDK_WORDS_H

#include <stdbool.h>

#define WORDS_MAX 64

/* Arguments of a program, in the form in which main gets them. */
struct words {
    char *words[WORDS_MAX + 1]; /* allocated; ends with NULL */
    int count;
};

/*
 * Adds the words of `text`. '...' keeps everything in it as it is; "..." everything but \" and \\; a \ elsewhere keeps the next character.
 * 0; -EINVAL if a quote does not end; -E2BIG if there are more than WORDS_MAX words; -ENOMEM. words_dispose frees the words in any case.
 */
int words_split(struct words *words, const char *text);

/* Adds a copy of one word. 0, -E2BIG or -ENOMEM. */
int words_add(struct words *words, const char *word);

/* True if one of the words is the option `word`, alone or with its value behind it: "-m512", "--lcores=0@1". */
bool words_have(const struct words *words, const char *word);

void words_dispose(struct words *words);

#endif
