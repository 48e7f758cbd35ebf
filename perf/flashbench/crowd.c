#include "flashbench/crowd.h"

#include "flashbench/member.h"
#include "flashrelay/clock.h"
#include "flashrelay/random.h"
#include "flashrelay/ws_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_PER_TURN     64
#define READ_BUFFER_BYTES   (256u << 10)
#define UPGRADES_AT_ONCE    256
#define MEMBERS_PER_ADDRESS 250
#define MAX_MESSAGE_BYTES   (64u << 20)
#define SLOW_READ_NS        (100 * NS_PER_MS)
#define CONNECT_AGAIN_NS    (100 * NS_PER_MS) /* delay before connecting again where nothing listens yet */
#define CLOCK_CHECK_NS      NS_PER_S

struct crowd {
    struct crowd_options options;
    struct crowd_member_rules rules;
    struct crowd_member *members;
    uint32_t member_count, open, owed, in_progress, closed, churn_next;
    uint32_t next_new; /* members from here on have never been connected */
    int epoll;
    uint8_t *buffer;
    uint64_t next_slow_read_ns, next_clock_check_ns;
    uint64_t realtime_offset_ns; /* realtime minus monotonic time */
    struct random random;        /* for keys and masks */
    struct ws_client_options client_options;
    struct crowd_counters counters;
};

static void forget(struct crowd *crowd, struct crowd_member *member);

static uint64_t next_random(void *context)
{
    struct crowd *crowd = context;

    return random_next(&crowd->random);
}

static void prepare_clients(struct crowd *crowd)
{
    random_seed(&crowd->random, random_system_seed());
    crowd->client_options = (struct ws_client_options){
        .uri = crowd->options.uri, .max_message_bytes = MAX_MESSAGE_BYTES, .next_random = next_random, .context = crowd};
}

int crowd_create(struct crowd **out, const struct crowd_options *options)
{
    struct crowd *crowd = calloc(1, sizeof *crowd);
    int error;

    if (!crowd)
        return -ENOMEM;
    crowd->options = *options;
    crowd->rules = (struct crowd_member_rules){options->messages, options->skip_above_bytes, options->verify_every};
    for (int kind = 0; kind < CROWD_KINDS; kind++)
        crowd->member_count += options->counts[kind];
    crowd->members = calloc(crowd->member_count + 1, sizeof *crowd->members);
    crowd->buffer = malloc(READ_BUFFER_BYTES);
    crowd->epoll = epoll_create1(EPOLL_CLOEXEC);
    prepare_clients(crowd);
    error = !crowd->members || !crowd->buffer || crowd->epoll < 0 ? -ENOMEM : 0;
    if (error != 0) {
        crowd_destroy(crowd);
        return error;
    }
    for (uint32_t i = 0; i < crowd->member_count; i++) {
        enum crowd_kind kind = i < options->counts[CROWD_READER]                                 ? CROWD_READER
                               : i < options->counts[CROWD_READER] + options->counts[CROWD_SLOW] ? CROWD_SLOW
                                                                                                 : CROWD_STALLED;
        crowd->members[i] = (struct crowd_member){.fd = -1, .column = i, .kind = (uint8_t)kind};
    }
    crowd->closed = crowd->member_count;
    *out = crowd;
    return 0;
}

void crowd_destroy(struct crowd *crowd)
{
    if (!crowd)
        return;
    for (uint32_t i = 0; crowd->members && i < crowd->member_count; i++)
        if (crowd->members[i].state != CROWD_MEMBER_CLOSED)
            forget(crowd, &crowd->members[i]);
    if (crowd->epoll >= 0)
        close(crowd->epoll);
    free(crowd->buffer);
    free(crowd->members);
    free(crowd);
}

uint32_t crowd_open(const struct crowd *crowd)
{
    return crowd->open;
}

uint32_t crowd_owed(const struct crowd *crowd)
{
    return crowd->owed;
}

void crowd_reset_counters(struct crowd *crowd)
{
    memset(&crowd->counters, 0, sizeof crowd->counters);
}

const struct crowd_counters *crowd_counters_get(const struct crowd *crowd)
{
    return &crowd->counters;
}

/* --- connecting and disconnecting --- */

/* Gives each member a source address of its own on loopback, so that the proxy's limit per address does not refuse it. */
static void bind_source(const struct crowd *crowd, int fd, uint32_t column)
{
    const struct sockaddr_in source = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(0x7f010001u + (column / MEMBERS_PER_ADDRESS << 8) + column % MEMBERS_PER_ADDRESS),
    };

    if (!ip_address_is_v4(&crowd->options.target.ip) || crowd->options.target.ip.bytes[12] != 127)
        return;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){1}, sizeof(int));
    if (bind(fd, (const struct sockaddr *)&source, sizeof source) != 0)
        return; /* the member then connects from the default address */
}

static void forget(struct crowd *crowd, struct crowd_member *member)
{
    if (member->state == CROWD_MEMBER_OPEN) {
        crowd->open--;
        crowd->owed -= member->counted;
    } else {
        crowd->in_progress--;
    }
    close(member->fd);
    member->fd = -1;
    member->state = CROWD_MEMBER_CLOSED;
    member->established = member->counted = false;
    free(member->head);
    member->head = NULL;
    crowd_member_reset(member);
    crowd->closed++;
}

/* The proxy ended the connection. */
static void on_cut_off(struct crowd *crowd, struct crowd_member *member)
{
    uint64_t wait_ns = member->state == CROWD_MEMBER_CONNECTING ? CONNECT_AGAIN_NS : crowd->options.reconnect_ns;

    if (member->state == CROWD_MEMBER_OPEN) {
        crowd->counters.cut_off[member->kind]++;
        crowd->counters.close_codes[member->close_code]++;
    } else if (member->state == CROWD_MEMBER_UPGRADING) {
        crowd->counters.refused++;
    }
    forget(crowd, member);
    member->reopen_ns = wait_ns != 0 ? clock_monotonic_ns() + wait_ns : 0;
}

static void watch(struct crowd *crowd, const struct crowd_member *member, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u32 = member->column};

    epoll_ctl(crowd->epoll, operation, member->fd, &event);
}

static void begin_connect(struct crowd *crowd, struct crowd_member *member)
{
    struct sockaddr_storage target;
    socklen_t length = address_to_sockaddr(&crowd->options.target, &target);

    member->fd = socket(target.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (member->fd < 0) { /* out of descriptors: tried again after a second */
        member->reopen_ns = clock_monotonic_ns() + NS_PER_S;
        return;
    }
    member->state = CROWD_MEMBER_CONNECTING;
    member->reopen_ns = 0;
    crowd->closed--;
    crowd->in_progress++;
    crowd->counters.connects++;
    setsockopt(member->fd, SOL_SOCKET, SO_TIMESTAMPNS, &(int){1}, sizeof(int));
    setsockopt(member->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    bind_source(crowd, member->fd, member->column);
    if (connect(member->fd, (struct sockaddr *)&target, length) != 0 && errno != EINPROGRESS)
        on_cut_off(crowd, member);
    else
        watch(crowd, member, EPOLL_CTL_ADD, EPOLLOUT);
}

static void on_connected(struct crowd *crowd, struct crowd_member *member)
{
    char request[HTTP_MAX_REQUEST_BYTES];
    long length;

    member->head = malloc(WS_CLIENT_HEAD_BYTES);
    if (!member->head)
        abort();
    ws_client_start(&member->client, &crowd->client_options, member->head);
    length = ws_client_write_request(&member->client, request, sizeof request);
    if (length < 0 || send(member->fd, request, (size_t)length, MSG_NOSIGNAL) != length) {
        on_cut_off(crowd, member);
        return;
    }
    member->state = CROWD_MEMBER_UPGRADING;
    watch(crowd, member, EPOLL_CTL_MOD, EPOLLIN | EPOLLRDHUP);
}

/* From its first message on, every further message is owed to a reader. */
static void count_owed(struct crowd *crowd, struct crowd_member *member)
{
    if (member->established && !member->counted && member->kind == CROWD_READER) {
        member->counted = true;
        crowd->owed++;
    }
}

static void take_bytes(struct crowd *crowd, struct crowd_member *member, uint8_t *bytes, size_t length,
                       const struct arrival *arrival);

static void on_answer(struct crowd *crowd, struct crowd_member *member)
{
    ssize_t n = recv(member->fd, crowd->buffer, WS_CLIENT_HEAD_BYTES, 0);
    struct ws_client_answer answer;

    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            on_cut_off(crowd, member);
        return;
    }
    size_t taken = ws_client_read_answer(&member->client, crowd->buffer, (size_t)n, &answer);
    if (member->client.state == WS_CLIENT_UPGRADING)
        return;
    if (member->client.state == WS_CLIENT_REFUSED) {
        on_cut_off(crowd, member);
        return;
    }
    free(member->head);
    member->head = NULL;
    uint64_t now_ns = clock_monotonic_ns();
    crowd->in_progress--;
    crowd->open++;
    crowd_member_begin(member, crowd->options.messages);
    count_owed(crowd, member);
    if (member->kind != CROWD_READER)
        watch(crowd, member, EPOLL_CTL_MOD, EPOLLRDHUP);
    else if (taken < (size_t)n)
        take_bytes(crowd, member, crowd->buffer + taken, (size_t)n - taken, &(struct arrival){now_ns, now_ns});
}

/* --- reading --- */

static void send_pong(const struct crowd_member *member, const struct ws_event *ping)
{
    uint8_t pong[WS_MAX_CONTROL_FRAME];
    size_t length = ws_client_write_control(&member->client, pong, WS_PONG, ping->bytes, ping->length);

    if (send(member->fd, pong, length, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)length)
        return; /* the proxy does not read; its own time-out ends the connection */
}

static void take_bytes(struct crowd *crowd, struct crowd_member *member, uint8_t *bytes, size_t length,
                       const struct arrival *arrival)
{
    enum crowd_member_outcome outcome = CROWD_MEMBER_WANTS_MORE;
    struct ws_event event;

    for (size_t at = 0; at < length && outcome != CROWD_MEMBER_ENDED;) {
        at += crowd_member_take(member, &crowd->rules, bytes + at, length - at, arrival, &event, &outcome);
        if (outcome == CROWD_MEMBER_WANTS_PONG)
            send_pong(member, &event);
    }
    count_owed(crowd, member);
    if (outcome == CROWD_MEMBER_ENDED) {
        crowd->counters.protocol_errors += event.kind == WS_EVENT_ERROR;
        on_cut_off(crowd, member);
    }
}

static void take_skipped(struct crowd *crowd, struct crowd_member *member, size_t length, const struct arrival *arrival)
{
    crowd_member_skipped(member, &crowd->rules, length, arrival);
    count_owed(crowd, member);
}

/* As recv(2); also sets *arrival to the time at which the bytes arrived. */
static ssize_t receive(struct crowd *crowd, const struct crowd_member *member, size_t length, int flags, struct arrival *arrival)
{
    char control[CMSG_SPACE(sizeof(struct timespec)) + 64];
    struct iovec piece = {.iov_base = crowd->buffer, .iov_len = length};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};

    ssize_t n = recvmsg(member->fd, &message, flags);
    uint64_t now_ns = clock_monotonic_ns();
    *arrival = (struct arrival){now_ns, now_ns};
    const struct cmsghdr *header = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_TIMESTAMPNS) {
        struct timespec stamp;
        memcpy(&stamp, CMSG_DATA(header), sizeof stamp);
        uint64_t stamp_ns = (uint64_t)stamp.tv_sec * NS_PER_S + (uint64_t)stamp.tv_nsec - crowd->realtime_offset_ns;
        arrival->stamped_ns = stamp_ns < now_ns ? stamp_ns : now_ns;
        crowd->counters.kernel_stamps++;
        recorder_add(&crowd->counters.read_delay, now_ns - arrival->stamped_ns);
    }
    return n;
}

/* The same without the kernel's time stamp, which costs time. */
static ssize_t receive_unstamped(const struct crowd *crowd, const struct crowd_member *member, size_t length,
                                 struct arrival *arrival)
{
    ssize_t n = recv(member->fd, crowd->buffer, length, MSG_DONTWAIT);
    uint64_t now_ns = clock_monotonic_ns();

    *arrival = (struct arrival){now_ns, now_ns};
    return n;
}

static void on_readable(struct crowd *crowd, struct crowd_member *member)
{
    while (member->state == CROWD_MEMBER_OPEN) {
        bool skip = member->skip_left > 0;
        size_t wanted = skip ? (member->skip_left < READ_BUFFER_BYTES ? (size_t)member->skip_left : READ_BUFFER_BYTES)
                             : crowd_member_wants(member, &crowd->rules, READ_BUFFER_BYTES);
        /* Such a read cannot reach the message's end, so it needs no time stamp. */
        bool beginning = !skip && wanted < READ_BUFFER_BYTES;
        struct arrival arrival;
        ssize_t n = beginning ? receive_unstamped(crowd, member, wanted, &arrival)
                              : receive(crowd, member, wanted, MSG_DONTWAIT | (skip ? MSG_TRUNC : 0), &arrival);

        if (n <= 0) {
            if (n == 0 || errno != EAGAIN)
                on_cut_off(crowd, member);
            return;
        }
        if (skip)
            take_skipped(crowd, member, (size_t)n, &arrival);
        else
            take_bytes(crowd, member, crowd->buffer, (size_t)n, &arrival);
        if ((size_t)n < wanted)
            return;
    }
}

static void on_event(struct crowd *crowd, struct crowd_member *member, uint32_t events)
{
    switch ((enum crowd_member_state)member->state) {
    case CROWD_MEMBER_CLOSED:
        break;
    case CROWD_MEMBER_CONNECTING:
        if (events & (EPOLLERR | EPOLLHUP))
            on_cut_off(crowd, member);
        else
            on_connected(crowd, member);
        break;
    case CROWD_MEMBER_UPGRADING:
        on_answer(crowd, member);
        break;
    case CROWD_MEMBER_OPEN:
        if (member->kind == CROWD_READER)
            on_readable(crowd, member);
        else
            on_cut_off(crowd, member);
        break;
    }
}

unsigned crowd_turn(struct crowd *crowd, uint64_t timeout_ns)
{
    const struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / NS_PER_S), .tv_nsec = (long)(timeout_ns % NS_PER_S)};
    struct epoll_event events[EVENTS_PER_TURN];
    int count = epoll_pwait2(crowd->epoll, events, EVENTS_PER_TURN, &timeout, NULL);

    for (int i = 0; i < count; i++)
        on_event(crowd, &crowd->members[events[i].data.u32], events[i].events);
    return count > 0 ? (unsigned)count : 0;
}

/* --- timed work --- */

static void read_slowly(struct crowd *crowd, struct crowd_member *member)
{
    uint64_t left = crowd->options.slow_bytes_per_s * SLOW_READ_NS / NS_PER_S;

    while (left > 0) {
        size_t wanted = left < READ_BUFFER_BYTES ? (size_t)left : READ_BUFFER_BYTES;
        ssize_t n = recv(member->fd, crowd->buffer, wanted, MSG_DONTWAIT | MSG_TRUNC);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            on_cut_off(crowd, member);
        if (n <= 0)
            return;
        left -= (uint64_t)n;
    }
}

static void read_slow_members(struct crowd *crowd, uint64_t now_ns)
{
    uint32_t first = crowd->options.counts[CROWD_READER];

    if (crowd->options.counts[CROWD_SLOW] == 0 || now_ns < crowd->next_slow_read_ns)
        return;
    crowd->next_slow_read_ns = now_ns + SLOW_READ_NS;
    for (uint32_t i = first; i < first + crowd->options.counts[CROWD_SLOW]; i++)
        if (crowd->members[i].state == CROWD_MEMBER_OPEN)
            read_slowly(crowd, &crowd->members[i]);
}

static void reconnect(struct crowd *crowd, uint64_t now_ns)
{
    if (crowd->closed == crowd->member_count - crowd->next_new)
        return; /* the only closed members are those that were never connected */
    for (uint32_t i = 0; i < crowd->next_new && crowd->in_progress < UPGRADES_AT_ONCE; i++) {
        struct crowd_member *member = &crowd->members[i];
        if (member->state == CROWD_MEMBER_CLOSED && member->reopen_ns != 0 && member->reopen_ns <= now_ns)
            begin_connect(crowd, member);
    }
}

static void check_clocks(struct crowd *crowd, uint64_t now_ns)
{
    if (now_ns < crowd->next_clock_check_ns)
        return;
    crowd->next_clock_check_ns = now_ns + CLOCK_CHECK_NS;
    crowd->realtime_offset_ns = clock_realtime_ns() - clock_monotonic_ns();
}

void crowd_tick(struct crowd *crowd, uint64_t now_ns)
{
    check_clocks(crowd, now_ns);
    while (crowd->next_new < crowd->member_count && crowd->in_progress < UPGRADES_AT_ONCE)
        begin_connect(crowd, &crowd->members[crowd->next_new++]);
    reconnect(crowd, now_ns);
    read_slow_members(crowd, now_ns);
}

void crowd_churn(struct crowd *crowd, uint32_t count)
{
    uint32_t readers = crowd->options.counts[CROWD_READER];

    for (; count > 0 && readers > 0; count--) {
        struct crowd_member *member = &crowd->members[crowd->churn_next++ % readers];
        if (member->state != CROWD_MEMBER_OPEN)
            continue;
        if (member->established)
            messages_owe(crowd->options.messages, member->expected, -1);
        forget(crowd, member);
        begin_connect(crowd, member);
    }
}
