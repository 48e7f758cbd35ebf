/*
 * What a publisher and a reader may do between two accesses of the other one. The marks lie on pages that are protected, so that an access
 * to a mark faults; the handler of the fault does what the other thread might do at this moment, and the access is then repeated.
 */
#include "flashrelay/channel.h"
#include "flashrelay/ws.h"
#include "support/skip.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* The first reader has its mark on the first page, the last one on the second; the publisher reads both, in this order. */
enum { PAGE_BYTES = 4096, MARKS_PER_PAGE = PAGE_BYTES / sizeof(struct channel_mark), READERS = MARKS_PER_PAGE + 1, ENTRIES = 4 };

static struct channel_marks *marks;
static struct channel *channel;
static struct sigaction action_before;

static struct {
    uint64_t published; /* by the publisher, while a reader joins */
    unsigned looks;     /* of the publisher at all marks, that have ended */
    unsigned moves_in;  /* the look at whose end the reader moves its mark */
    bool has_moved;     /* the reader has moved its mark, after the publisher has read it in this look ... */
    bool is_told;       /* ... and then saw that the publisher waits */
} race;

static void protect_page(unsigned page, int protection)
{
    mprotect((uint8_t *)marks + (size_t)page * PAGE_BYTES, PAGE_BYTES, protection);
}

static unsigned page_of(const siginfo_t *fault)
{
    return (unsigned)(((const uint8_t *)fault->si_addr - (const uint8_t *)marks) / PAGE_BYTES);
}

static void open_race(void (*on_fault)(int number, siginfo_t *fault, void *context))
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    struct channel_options options = {.name = "test", .arena_bytes = PAGE_BYTES, .entries = ENTRIES};
    void *memory;

#ifdef __SANITIZE_THREAD__
    skip_because("the thread sanitizer locks during an atomic access, and the handler of the fault would wait for that lock");
#endif
    if (sysconf(_SC_PAGESIZE) != PAGE_BYTES)
        skip_because("the system has larger pages, on which all marks lie together");
    memory = mmap(NULL, sizeof *marks, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    options.marks = marks = memory;
    channel_marks_init(marks, READERS);
    assert_int_equal(channel_create(&channel, &options), 0);
    race = (typeof(race)){0};
    assert_int_equal(sigaction(SIGSEGV, &action, &action_before), 0);
}

static void close_race(void)
{
    assert_int_equal(sigaction(SIGSEGV, &action_before, NULL), 0);
    channel_destroy(channel);
    munmap(marks, sizeof *marks);
}

static int publish(uint64_t sequence)
{
    return channel_append(channel, sequence, WS_BINARY, "frame", 5, 0);
}

/* The publisher appends, and frees, more than the log holds: the reader has not set its mark yet. */
static void on_mark_is_set(int number, siginfo_t *fault, void *context)
{
    (void)number;
    (void)context;
    protect_page(page_of(fault), PROT_READ | PROT_WRITE);
    while (race.published < 2 * ENTRIES && publish(race.published + 1) == 0)
        race.published++;
}

static void a_reader_that_joins_begins_behind_what_was_published_before_its_mark(void **state)
{
    uint64_t next;

    (void)state;
    open_race(on_mark_is_set);
    protect_page(0, PROT_READ);
    next = channel_reader_join(channel, 0);
    assert_int_equal(race.published, 2 * ENTRIES);
    assert_int_equal(next, race.published + 1);
    close_race();
}

/*
 * Opens the page that is read now and closes the other one, so that each look of the publisher at all marks faults on both pages. At the end
 * of look `moves_in` the first reader, whose mark that look has read already, moves its mark, then reads whether the publisher waits.
 */
static void on_mark_is_read(int number, siginfo_t *fault, void *context)
{
    unsigned page = page_of(fault);

    (void)number;
    (void)context;
    protect_page(page, PROT_READ | PROT_WRITE);
    if (page == 1 && ++race.looks == race.moves_in) {
        protect_page(0, PROT_READ | PROT_WRITE);
        channel_mark_set(marks, 0, ENTRIES);
        race.has_moved = true;
        race.is_told = channel_is_waiting(channel);
    }
    protect_page(1 - page, PROT_NONE);
}

/* Else the publisher would wait for a reader that does not know of it. */
static void a_reader_that_moves_its_mark_is_seen_or_knows_that_the_publisher_waits(void **state)
{
    unsigned looks = 1;

    (void)state;
    for (unsigned moves_in = 1; moves_in <= looks; moves_in++) {
        int error;

        open_race(on_mark_is_read);
        race.moves_in = moves_in;
        channel_reader_join(channel, 0);
        for (uint64_t sequence = 1; sequence <= ENTRIES; sequence++)
            assert_int_equal(publish(sequence), 0);
        protect_page(0, PROT_NONE);
        error = publish(ENTRIES + 1);
        protect_page(0, PROT_READ | PROT_WRITE);
        protect_page(1, PROT_READ | PROT_WRITE);
        assert_true(race.has_moved);
        assert_true(error == 0 || race.is_told);
        looks = race.looks;
        close_race();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_that_joins_begins_behind_what_was_published_before_its_mark),
        cmocka_unit_test(a_reader_that_moves_its_mark_is_seen_or_knows_that_the_publisher_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
