#include "engine/dpdk/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void words_dispose(struct words *words)
{
    for (int i = 0; i < words->count; i++)
        free(words->words[i]);
    *words = (struct words){0};
}

int words_add(struct words *words, const char *word)
{
    if (words->count == WORDS_MAX)
        return -E2BIG;
    words->words[words->count] = strdup(word);
    if (!words->words[words->count])
        return -ENOMEM;
    words->count++;
    return 0;
}

/* Appends what stands between the quotes at `text` to *end. Returns what follows the closing quote, or NULL if there is none. */
static const char *copy_quoted(const char *text, char **end)
{
    char quote = *text++;

    while (*text && *text != quote) {
        if (quote == '"' && *text == '\\' && (text[1] == '"' || text[1] == '\\'))
            text++;
        *(*end)++ = *text++;
    }
    return *text ? text + 1 : NULL;
}

/* Copies the word at `text` to `word`. Returns what follows it, or NULL if a quote does not end. */
static const char *copy_word(const char *text, char *word)
{
    while (text && *text && !strchr(" \t\n", *text)) {
        if (*text == '\'' || *text == '"') {
            text = copy_quoted(text, &word);
            continue;
        }
        if (*text == '\\' && text[1])
            text++;
        *word++ = *text++;
    }
    *word = '\0';
    return text;
}

int words_split(struct words *words, const char *text)
{
    char *word = malloc(strlen(text) + 1);
    int error = word ? 0 : -ENOMEM;

    while (error == 0) {
        text += strspn(text, " \t\n");
        if (!*text)
            break;
        text = copy_word(text, word);
        error = text ? words_add(words, word) : -EINVAL;
    }
    free(word);
    return error;
}

bool words_have(const struct words *words, const char *word)
{
    size_t length = strlen(word);

    for (int i = 0; i < words->count; i++)
        if (strncmp(words->words[i], word, length) == 0 &&
            (length == 2 || words->words[i][length] == '\0' || words->words[i][length] == '='))
            return true;
    return false;
}
