/* Named measurements: the options of each row in perf/README.md. */
#ifndef PERF_FLASHBENCH_PRESETS_H
#define PERF_FLASHBENCH_PRESETS_H

#define PRESET_MAX_ARGUMENTS 48

struct preset {
    const char *name;
    const char *what; /* one line */
    const char *arguments[PRESET_MAX_ARGUMENTS];
};

/* The preset of that name, or NULL. */
const struct preset *preset_find(const char *name);

/* The preset at `index`, from 0; its name is NULL behind the last. */
const struct preset *preset_at(unsigned index);

#endif
