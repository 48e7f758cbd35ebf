#include "population/delay_line.h"

#include <err.h>
#include <errno.h>
#include <stdlib.h>

#define FIRST_CAPACITY 4096

int delay_line_init(struct delay_line *line)
{
    *line = (struct delay_line){.answers = malloc(FIRST_CAPACITY * sizeof *line->answers), .mask = FIRST_CAPACITY - 1};
    return line->answers ? 0 : -ENOMEM;
}

void delay_line_dispose(struct delay_line *line)
{
    free(line->answers);
    *line = (struct delay_line){0};
}

static void grow(struct delay_line *line)
{
    uint32_t mask = line->mask * 2 + 1;
    struct answer *answers = malloc((mask + (size_t)1) * sizeof *answers);

    if (!answers)
        errx(1, "population: no memory for %u answers", mask);
    for (uint32_t i = line->tail; i != line->head; i++)
        answers[i & mask] = line->answers[i & line->mask];
    free(line->answers);
    line->answers = answers;
    line->mask = mask;
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
