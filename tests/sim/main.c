/*
 * The simulator: runs the whole data plane except for its system calls, one seed after another. A failure is printed with the command that
 * repeats it.
 * tests/sim/README.md says what is simulated and what is checked.
 */
#include "common/command_line.h"
#include "flashrelay/log.h"
#include "sim/world.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LONGEST_SEED_S 60 /* a seed takes milliseconds, with a sanitizer some hundred */

bool tracing;
static const char *program;

/* Defined only with a sanitizer. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static char how_to_repeat[512];

/* Called from signal handlers, too: may only use functions that are safe there. */
static void tell(const char *text)
{
    ssize_t written = write(STDERR_FILENO, text, strlen(text));

    (void)written; /* a failure can't be reported anywhere */
}

static void tell_how_to_repeat(void)
{
    tell(how_to_repeat);
}

/* A failed assertion of the data plane, an invalid access, or an endless loop within one turn. */
static void on_signal(int number)
{
    signal(number, SIG_DFL);
    if (number == SIGALRM)
        tell("the seed does not end\n");
    tell_how_to_repeat();
    raise(number);
}

static void print_time(FILE *out, const struct sim_world *world)
{
    uint64_t us = sim_world_now(world) / NS_PER_US;

    fprintf(out, "%4" PRIu64 ".%06" PRIu64 " ", us / 1000000, us % 1000000);
}

void fail(const struct sim_world *world, const char *format, ...)
{
    va_list arguments;

    fflush(stdout);
    fprintf(stderr, "seed %" PRIu64 " failed at ", world->plan.seed);
    print_time(stderr, world);
    fprintf(stderr, "s, step %" PRIu64 ": ", world->steps);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    tell_how_to_repeat();
    exit(1);
}

void trace(const struct sim_world *world, const char *format, ...)
{
    va_list arguments;

    if (!tracing)
        return;
    print_time(stdout, world);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

static void run_seed(uint64_t seed, struct totals *totals)
{
    struct plan plan;

    snprintf(how_to_repeat, sizeof how_to_repeat, "to repeat it: %s --seed %" PRIu64 " --trace\n", program, seed);
    plan_draw(&plan, seed);
    if (tracing)
        plan_print(&plan);
    alarm(LONGEST_SEED_S);
    sim_world_run(&plan, totals);
}

int main(int argc, char **argv)
{
    struct totals totals = {0};
    uint64_t seeds = 1000, first = 1, seed = 0;
    const struct command_option options[] = {
        {"--seeds", "N", "how many seeds to run (default 1000)", OPTION_NUMBER, &seeds, 1, 0},
        {"--first", "S", "the first of them (default 1)", OPTION_NUMBER, &first, 1, 0},
        {"--seed", "S", "run this one alone", OPTION_NUMBER, &seed, 1, 0},
        {"--trace", NULL, "tell what happens", OPTION_SWITCH, &tracing, 0, 0},
    };
    const struct command_line line = {.program = "sim",
                                      .usage = "[OPTION]...",
                                      .summary = "Simulates the data plane, its upstreams and its subscribers from seeds, and "
                                                 "checks its invariants after every step.\n",
                                      .options = options,
                                      .option_count = sizeof options / sizeof options[0]};

    program = argv[0];
    command_line_parse(&line, argc, argv);
    log_configure(tracing ? LOG_DEBUG : LOG_OFF, LOG_TEXT, STDOUT_FILENO);
    signal(SIGABRT, on_signal);
    signal(SIGSEGV, on_signal);
    signal(SIGALRM, on_signal);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(tell_how_to_repeat);
    if (tracing)
        setvbuf(stdout, NULL, _IOLBF, 0);
    for (uint64_t i = seed != 0 ? seed : first, end = seed != 0 ? seed : first + seeds - 1; i <= end; i++)
        run_seed(i, &totals);
    totals_print(&totals);
    return 0;
}
