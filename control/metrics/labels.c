#include "metrics/labels.h"

#include "flashrelay/log.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void label_set_dispose(struct label_set *set)
{
    for (unsigned i = 0; i < set->count; i++) {
        free(set->labels[i].name);
        free(set->labels[i].value);
    }
    free(set->labels);
    *set = (struct label_set){0};
}

static void make_valid(char *name)
{
    for (char *c = name; *c; c++)
        if (!isalpha((unsigned char)*c) && *c != '_' && (c == name || !isdigit((unsigned char)*c)))
            *c = '_';
}

static int append(struct label_set *set, char *name, char *value)
{
    struct owned_label *labels = realloc(set->labels, (set->count + 1) * sizeof *labels);

    if (!labels)
        return -ENOMEM;
    set->labels = labels;
    labels[set->count++] = (struct owned_label){name, value};
    return 0;
}

int label_set_add(struct label_set *set, const char *name, const char *value)
{
    char *own_name = strdup(name), *own_value = strdup(value);

    if (own_name && own_value) {
        make_valid(own_name);
        for (unsigned i = 0; i < set->count; i++)
            if (strcmp(set->labels[i].name, own_name) == 0) {
                free(set->labels[i].value);
                set->labels[i].value = own_value;
                free(own_name);
                return 0;
            }
        if (append(set, own_name, own_value) == 0)
            return 0;
    }
    free(own_name);
    free(own_value);
    return -ENOMEM;
}

/* Names that histograms and summaries use themselves. */
static bool is_reserved(const char *name)
{
    return strcmp(name, "le") == 0 || strcmp(name, "quantile") == 0;
}

static int add_item(struct label_set *set, char *item)
{
    char *value = strchr(item, '=');

    if (*item == '\0')
        return 0;
    if (!value || value == item || value[1] == '\0') {
        log_line(LOG_WARN, "metrics", "--metrics-global-labels: %s is left out: expected name=value", item);
        return 0;
    }
    *value++ = '\0';
    if (is_reserved(item)) {
        log_line(LOG_WARN, "metrics", "--metrics-global-labels: %s is left out: Prometheus uses that name itself", item);
        return 0;
    }
    return label_set_add(set, item, value);
}

int label_set_add_list(struct label_set *set, const char *list)
{
    char *copy = strdup(list), *rest = copy, *item;
    int result = copy ? 0 : -ENOMEM;

    while (result == 0 && (item = strsep(&rest, ",")))
        result = add_item(set, item);
    free(copy);
    return result;
}
