#include "population/delay_line.h"

#include "population/huge_memory.h"

#include <err.h>
#include <errno.h>

#define FIRST_CAPACITY 4096

int delay_line_init(struct delay_line *line)
{
    *line = (struct delay_line){.mask = FIRST_CAPACITY - 1};
    line->answers = huge_memory_map(delay_line_bytes(line));
    return line->answers ? 0 : -ENOMEM;
}

void delay_line_dispose(struct delay_line *line)
{
    huge_memory_unmap(line->answers, delay_line_bytes(line));
    *line = (struct delay_line){0};
}

static void grow(struct delay_line *line)
{
    struct delay_line larger = {.mask = line->mask * 2 + 1, .head = line->head, .tail = line->tail};

    larger.answers = huge_memory_map(delay_line_bytes(&larger));
    if (!larger.answers)
        errx(1, "population: no memory for %u answers", larger.mask);
    for (uint32_t i = line->tail; i != line->head; i++)
        larger.answers[i & larger.mask] = line->answers[i & line->mask];
    delay_line_dispose(line);
    *line = larger;
}

void delay_line_add(struct delay_line *line, const struct answer *answer)
{
    if (line->head - line->tail > line->mask)
        grow(line);
    line->answers[line->head++ & line->mask] = *answer;
}

const struct answer *delay_line_oldest(const struct delay_line *line)
{
    return line->head == line->tail ? NULL : &line->answers[line->tail & line->mask];
}

void delay_line_remove_oldest(struct delay_line *line)
{
    line->tail++;
}
