/* Finds out by trying what this kernel and these limits allow, once per process. */
#include "engine/uring/uring.h"
#include "flashrelay/clock.h"
#include "flashrelay/log.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define PROBE_ENTRIES   8
#define PROBE_USER_DATA 0x70726f6265 /* a value that no other completion has */

static struct {
    pthread_once_t once;
    int error;
    unsigned setup_flags;
    struct uring_features features;
} probed = {.once = PTHREAD_ONCE_INIT};

/* Best first; the first that the kernel takes is used. R_DISABLED lets one thread create the ring and another own it. */
static const unsigned setup_choices[] = {
    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
        IORING_SETUP_TASKRUN_FLAG,
    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN,
    IORING_SETUP_SUBMIT_ALL | IORING_SETUP_R_DISABLED | IORING_SETUP_COOP_TASKRUN,
};

static int open_ring(struct io_uring *ring, unsigned setup_flags)
{
    struct io_uring_params params = {.flags = setup_flags};

    memset(ring, 0, sizeof *ring);
    return io_uring_queue_init_params(PROBE_ENTRIES, ring, &params);
}

static int probe_setup(void)
{
    struct io_uring ring;
    int error = -EINVAL;

    for (unsigned i = 0; i < sizeof setup_choices / sizeof setup_choices[0] && error == -EINVAL; i++) {
        error = open_ring(&ring, setup_choices[i]);
        if (error == 0)
            probed.setup_flags = setup_choices[i];
    }
    if (error == 0)
        io_uring_queue_exit(&ring);
    return error;
}

/* Submits what is prepared and returns its result; waits for its last completion. */
static int run_one(struct io_uring *ring)
{
    struct __kernel_timespec limit = {.tv_sec = 1};
    struct io_uring_cqe *completion;
    bool first = true, more = true;
    int result = 0;

    while (more) {
        int error = io_uring_submit_and_wait_timeout(ring, &completion, 1, &limit, NULL);

        if (error < 0)
            return error;
        result = first ? completion->res : result;
        first = false;
        more = completion->flags & IORING_CQE_F_MORE;
        io_uring_cqe_seen(ring, completion);
    }
    return result;
}

/* Sends on a socket that isn't connected: a kernel that knows the flags refuses the socket, another one refuses the flags. */
static bool takes_zerocopy_flags(struct io_uring *ring, unsigned flags)
{
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct io_uring_sqe *submission;
    int result;

    if (descriptor < 0)
        return false;
    submission = io_uring_get_sqe(ring);
    io_uring_prep_send_zc(submission, descriptor, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT, flags);
    result = run_one(ring);
    close(descriptor);
    return result == -EPIPE || result == -ENOTCONN;
}

struct sleeper {
    struct io_uring ring;
    sem_t ready;
    bool enabled, woken;
};

static void *sleep_for_message(void *argument)
{
    struct sleeper *sleeper = argument;
    struct __kernel_timespec limit = {.tv_sec = 1};
    struct io_uring_cqe *completion;

    sleeper->enabled = compat_enable_ring(&sleeper->ring) == 0;
    sem_post(&sleeper->ready);
    if (sleeper->enabled && io_uring_submit_and_wait_timeout(&sleeper->ring, &completion, 1, &limit, NULL) >= 0)
        sleeper->woken = completion->user_data == PROBE_USER_DATA;
    return NULL;
}

/* True if a message from `ring` ends the sleep of another thread on its own ring. */
static bool wakes_by_message(struct io_uring *ring)
{
    struct sleeper sleeper = {.woken = false};
    struct timespec asleep = {.tv_nsec = (long)NS_PER_MS};
    pthread_t thread;
    bool sent = false;

    if (open_ring(&sleeper.ring, probed.setup_flags) != 0)
        return false;
    sem_init(&sleeper.ready, 0, 0);
    if (pthread_create(&thread, NULL, sleep_for_message, &sleeper) == 0) {
        while (sem_wait(&sleeper.ready) != 0)
            continue;
        nanosleep(&asleep, NULL);
        if (sleeper.enabled) {
            io_uring_prep_msg_ring(io_uring_get_sqe(ring), sleeper.ring.ring_fd, 0, PROBE_USER_DATA, 0);
            sent = run_one(ring) == 0;
        }
        pthread_join(thread, NULL);
    }
    sem_destroy(&sleeper.ready);
    io_uring_queue_exit(&sleeper.ring);
    return sent && sleeper.woken;
}

static void probe_operations(struct io_uring *ring)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    struct uring_features *features = &probed.features;

    if (!probe)
        return;
    /* The kernel does not list multishot receive; it came with zero-copy send, in Linux 6.0. Buffer rings are older. */
    features->zerocopy_send = io_uring_opcode_supported(probe, IORING_OP_SEND_ZC);
    features->multishot_receive = features->zerocopy_send;
    features->buffer_ring = features->zerocopy_send;
    features->message_ring = io_uring_opcode_supported(probe, IORING_OP_MSG_RING) && wakes_by_message(ring);
    io_uring_free_probe(probe);
    if (features->zerocopy_send) {
        features->zerocopy_send = takes_zerocopy_flags(ring, 0);
        features->zerocopy_report = takes_zerocopy_flags(ring, IORING_SEND_ZC_REPORT_USAGE);
    }
}

static void explain_missing(void)
{
    const struct uring_features *features = &probed.features;

    if (!features->defer_taskrun)
        log_line(LOG_WARN, "uring",
                 "no IORING_SETUP_DEFER_TASKRUN (Linux 6.1): completions interrupt the thread, more CPU per delivery");
    if (!features->message_ring)
        log_line(LOG_WARN, "uring",
                 "no IORING_OP_MSG_RING between threads: they wake each other by eventfd, one system call more");
    if (!features->zerocopy_send)
        log_line(LOG_WARN, "uring", "no IORING_OP_SEND_ZC: large frames are copied into each socket");
    else if (!features->zerocopy_report)
        log_line(LOG_INFO, "uring", "no IORING_SEND_ZC_REPORT_USAGE (Linux 6.2): automatic zero-copy stays off");
}

static void explain_lack_of_memory(char *text, size_t capacity)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        snprintf(text, capacity, "no memory for a ring and its buffers");
    else
        snprintf(text, capacity,
                 "no memory for the ring of each thread: this kernel may count rings as locked memory, whose limit of %" PRIu64
                 " KiB is then too low: raise it (ulimit -l, LimitMEMLOCK=)",
                 (uint64_t)limit.rlim_cur >> 10);
}

void uring_explain_refusal(int error, char *text, size_t capacity)
{
    if (error == -ENOSYS)
        snprintf(text, capacity,
                 "this kernel, or its sandbox, has no io_uring with multishot receive: Linux 6.1 or newer is needed");
    else if (error == -EPERM || error == -EACCES)
        snprintf(text, capacity,
                 "io_uring is forbidden here: set kernel.io_uring_disabled=0, or let the container's seccomp profile allow "
                 "io_uring_setup, io_uring_enter and io_uring_register");
    else if (error == -ENOMEM)
        explain_lack_of_memory(text, capacity);
    else
        snprintf(text, capacity, "io_uring can't be set up: %s", strerror(-error));
}

static void probe_all(void)
{
    struct io_uring ring;

    probed.error = probe_setup();
    if (probed.error == 0)
        probed.error = open_ring(&ring, probed.setup_flags & ~(unsigned)IORING_SETUP_R_DISABLED);
    if (probed.error != 0)
        return;
    probed.features.single_issuer = (probed.setup_flags & IORING_SETUP_SINGLE_ISSUER) != 0;
    probed.features.defer_taskrun = (probed.setup_flags & IORING_SETUP_DEFER_TASKRUN) != 0;
    probe_operations(&ring);
    io_uring_queue_exit(&ring);
    if (!probed.features.multishot_receive) {
        probed.error = -ENOSYS;
        return;
    }
    explain_missing();
}

int uring_probe(struct uring_features *features, unsigned *setup_flags)
{
    pthread_once(&probed.once, probe_all);
    *features = probed.features;
    *setup_flags = probed.setup_flags;
    return probed.error;
}
