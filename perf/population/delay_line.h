/* Answers of clients that are on their way. All take equally long, so they arrive in the order in which they were sent. */
#ifndef PERF_POPULATION_DELAY_LINE_H
#define PERF_POPULATION_DELAY_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum answer_kind { ANSWER_ACK, ANSWER_SYN, ANSWER_REQUEST, ANSWER_FIN };

struct answer {
    uint32_t client;
    uint32_t acknowledged;  /* next sequence number that the client expects */
    uint32_t due_us;        /* modulo 2^32 */
    uint16_t sack_blocks;   /* number of its blocks in the pool; 0: none */
    uint8_t kind : 4;       /* enum answer_kind */
    bool after_request : 1; /* the client has sent its request before */
    bool after_finish : 1;  /* the client has sent its FIN before */
};

_Static_assert(sizeof(struct answer) == 16, "answers must take little memory of the cache");

struct delay_line {
    struct answer *answers;
    uint32_t mask;       /* the capacity less 1; it grows */
    uint32_t head, tail; /* numbers of the next to be added and of the oldest */
};

/* 0 or -ENOMEM. */
int delay_line_init(struct delay_line *line);
void delay_line_dispose(struct delay_line *line);

/* Bytes of its memory. */
static inline size_t delay_line_bytes(const struct delay_line *line)
{
    return (line->mask + (size_t)1) * sizeof *line->answers;
}

/* Adds an answer, after all others. Ends the program where memory is wanting. */
void delay_line_add(struct delay_line *line, const struct answer *answer);

/* The oldest answer, or NULL. */
const struct answer *delay_line_oldest(const struct delay_line *line);
void delay_line_remove_oldest(struct delay_line *line);

#endif
