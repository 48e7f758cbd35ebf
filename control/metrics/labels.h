/* Labels, and the set of those that every metric has. */
#ifndef CONTROL_METRICS_LABELS_H
#define CONTROL_METRICS_LABELS_H

struct label {
    const char *name, *value;
};

struct label_set {
    struct owned_label {
        char *name, *value;
    } * labels;
    unsigned count;
};

/*
 * Adds name=value; characters that Prometheus allows in no label name become _, and a name that is there already gets the new
 * value. 0 or -ENOMEM. A set begins zeroed.
 */
int label_set_add(struct label_set *set, const char *name, const char *value);

/* Adds the items of `a=b,c=d`. Malformed ones are warned about in the log and skipped. 0 or -ENOMEM. */
int label_set_add_list(struct label_set *set, const char *list);

void label_set_dispose(struct label_set *set);

#endif
