/* Intrusive doubly linked list: the node lives in the element, nothing is allocated. A list and its nodes belong to one thread. */
#ifndef FLASHRELAY_LIST_H
#define FLASHRELAY_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list_node {
    struct list_node *next;
    struct list_node *previous;
};

/* The element of type `type` whose member `member` is `node`. */
#define LIST_ENTRY(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

/* Makes `list` an empty list, or `node` a node that is in no list. */
static inline void list_init(struct list_node *list)
{
    list->next = list;
    list->previous = list;
}

/* True if the list holds nothing (for a node: if it is in no list). */
static inline bool list_is_empty(const struct list_node *list)
{
    return list->next == list;
}

/* Puts a node that is in no list at the end. */
static inline void list_append(struct list_node *list, struct list_node *node)
{
    node->previous = list->previous;
    node->next = list;
    list->previous->next = node;
    list->previous = node;
}

/* Takes a node out of the list it is in, if any; it is then in none. */
static inline void list_remove(struct list_node *node)
{
    node->previous->next = node->next;
    node->next->previous = node->previous;
    list_init(node);
}

/* The oldest node, or NULL. */
static inline struct list_node *list_first(struct list_node *list)
{
    return list_is_empty(list) ? NULL : list->next;
}

#endif
