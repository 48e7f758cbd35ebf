/* CPU time, memory, names and cores of a process group: threads and children that ended stay counted. */
#include "common/process_group.h"
#include "common/usage_meter.h"
#include "flashrelay/clock.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define WORK_NS      (60 * NS_PER_MS)
#define PRECISION_NS (20 * NS_PER_MS) /* cutime and cstime, each in steps of 10 ms */
#define MAX_STEPS    3

/* A process that leads a process group of its own and does one step per command. */
struct group_leader {
    pid_t pid;
    int commands, answers; /* the test's ends of two pipes */
};

/* What a leader does: one step per command. */
struct job {
    void (*steps[MAX_STEPS])(void); /* NULL after the last step, if there are fewer */
};

static void use_cpu(void)
{
    struct timespec used;

    do {
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    } while ((uint64_t)used.tv_sec * NS_PER_S + (uint64_t)used.tv_nsec < WORK_NS);
}

static void *run_thread(void *unused)
{
    (void)unused;
    use_cpu();
    return NULL;
}

static void use_cpu_in_a_thread_that_ends(void)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, run_thread, NULL) != 0)
        _exit(1);
    pthread_join(thread, NULL);
}

static void use_cpu_in_a_child_that_ends(void)
{
    pid_t child = fork();

    if (child == 0) {
        use_cpu();
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

static pid_t unwaited_child;

/* Returns while the child still exists, asleep. The system will forget the child's CPU time when it ends, as nothing waits for it. */
static void use_cpu_in_a_child_that_stays(void)
{
    int done[2];
    char byte = 0;

    signal(SIGCHLD, SIG_IGN);
    if (pipe(done) != 0)
        _exit(1);
    unwaited_child = fork();
    if (unwaited_child == 0) {
        use_cpu();
        if (write(done[1], &byte, 1) == 1)
            pause();
        _exit(0);
    }
    if (read(done[0], &byte, 1) != 1)
        _exit(1);
}

static void end_the_child(void)
{
    kill(unwaited_child, SIGKILL);
    while (kill(unwaited_child, 0) == 0)
        nanosleep(&(struct timespec){.tv_nsec = (long)NS_PER_MS}, NULL);
}

static void do_nothing(void)
{
}

static void work(const struct job *job, int commands, int answers)
{
    char byte = 0;

    for (unsigned step = 0; step < MAX_STEPS && job->steps[step] && read(commands, &byte, 1) == 1; step++) {
        job->steps[step]();
        if (write(answers, &byte, 1) != 1)
            _exit(1);
    }
    while (read(commands, &byte, 1) > 0)
        continue;
    _exit(0);
}

static struct group_leader start_leader(const struct job *job)
{
    struct group_leader leader;
    int commands[2], answers[2];

    assert_int_equal(pipe(commands), 0);
    assert_int_equal(pipe(answers), 0);
    leader.pid = fork();
    assert_true(leader.pid >= 0);
    if (leader.pid == 0) {
        setpgid(0, 0);
        close(commands[1]);
        close(answers[0]);
        work(job, commands[0], answers[1]);
    }
    setpgid(leader.pid, leader.pid);
    close(commands[0]);
    close(answers[1]);
    leader.commands = commands[1];
    leader.answers = answers[0];
    return leader;
}

/* Lets the leader do its next step, and waits until that is done. */
static void next_step(const struct group_leader *leader)
{
    char byte = 0;

    assert_int_equal(write(leader->commands, &byte, 1), 1);
    assert_int_equal(read(leader->answers, &byte, 1), 1);
}

static void end_leader(struct group_leader *leader)
{
    int status;

    close(leader->commands);
    close(leader->answers);
    assert_int_equal(waitpid(leader->pid, &status, 0), leader->pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void threads_and_children_that_ended_stay_counted(void **state)
{
    const struct job job = {{use_cpu_in_a_thread_that_ends, use_cpu_in_a_child_that_ends}};
    struct group_leader leader = start_leader(&job);
    uint64_t before_ns = process_group_cpu_ns(leader.pid);

    (void)state;
    next_step(&leader);
    uint64_t between_ns = process_group_cpu_ns(leader.pid);
    assert_true(between_ns - before_ns >= WORK_NS);
    next_step(&leader);
    assert_true(process_group_cpu_ns(leader.pid) - between_ns >= WORK_NS - PRECISION_NS);
    end_leader(&leader);
    assert_int_equal(process_group_cpu_ns(leader.pid), 0);
}

static void a_meter_counts_from_its_creation(void **state)
{
    const struct job job = {{use_cpu_in_a_thread_that_ends, use_cpu_in_a_thread_that_ends}};
    struct group_leader leader = start_leader(&job);

    (void)state;
    next_step(&leader);
    struct usage_meter *meter = usage_meter_create(leader.pid);
    assert_non_null(meter);
    assert_true(usage_meter_read(meter)->cpu_ns < WORK_NS);
    uint64_t switches = usage_meter_read(meter)->voluntary_switches;
    next_step(&leader);
    assert_true(usage_meter_read(meter)->cpu_ns >= WORK_NS);
    assert_true(usage_meter_read(meter)->voluntary_switches > switches);
    end_leader(&leader);
    usage_meter_destroy(meter);
}

static void a_meter_keeps_what_it_read_of_a_child_for_which_nobody_waited(void **state)
{
    const struct job job = {{do_nothing, use_cpu_in_a_child_that_stays, end_the_child}};
    struct group_leader leader = start_leader(&job);

    (void)state;
    next_step(&leader);
    struct usage_meter *meter = usage_meter_create(leader.pid);
    assert_non_null(meter);
    next_step(&leader);
    struct process_usage running = *usage_meter_read(meter);
    assert_true(running.cpu_ns >= WORK_NS);
    next_step(&leader);
    assert_true(process_group_cpu_ns(leader.pid) < WORK_NS); /* the system has forgotten the child */
    struct process_usage ended = *usage_meter_read(meter);
    assert_true(ended.cpu_ns >= running.cpu_ns);
    assert_true(ended.voluntary_switches >= running.voluntary_switches);
    assert_true(ended.wait_ns >= running.wait_ns);
    end_leader(&leader);
    usage_meter_destroy(meter);
}

/* This process's name as the kernel knows it: cut off, and under an emulator the emulator's. */
static const char *own_name(void)
{
    static char name[64];
    FILE *file = fopen("/proc/self/comm", "re");

    assert_non_null(file);
    assert_non_null(fgets(name, sizeof name, file));
    fclose(file);
    name[strcspn(name, "\n")] = '\0';
    return name;
}

static void memory_names_and_cores_are_of_all_processes(void **state)
{
    const struct job job = {{use_cpu_in_a_child_that_stays, end_the_child}};
    struct group_leader leader = start_leader(&job);
    struct process_memory alone, together;
    char names[64];
    cpu_set_t cores, own;

    (void)state;
    assert_true(process_group_memory(leader.pid, &alone));
    assert_int_equal(process_group_names(leader.pid, names, sizeof names), 1);
    next_step(&leader);
    assert_true(process_group_memory(leader.pid, &together));
    assert_true(together.rss_bytes > alone.rss_bytes && together.pss_bytes > 0);
    assert_int_equal(process_group_names(leader.pid, names, sizeof names), 2);
    assert_string_equal(names, own_name()); /* the name of all processes forked from this one */
    process_group_cores(leader.pid, &cores);
    assert_int_equal(sched_getaffinity(0, sizeof own, &own), 0);
    assert_true(CPU_EQUAL(&cores, &own));
    next_step(&leader);
    assert_int_equal(process_group_names(leader.pid, names, sizeof names), 1);
    end_leader(&leader);
    assert_int_equal(process_group_names(leader.pid, names, sizeof names), 0);
    assert_string_equal(names, "");
    process_group_cores(leader.pid, &cores);
    assert_int_equal(CPU_COUNT(&cores), 0);
    assert_false(process_group_memory(leader.pid, &alone));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_and_children_that_ended_stay_counted),
        cmocka_unit_test(a_meter_counts_from_its_creation),
        cmocka_unit_test(a_meter_keeps_what_it_read_of_a_child_for_which_nobody_waited),
        cmocka_unit_test(memory_names_and_cores_are_of_all_processes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
