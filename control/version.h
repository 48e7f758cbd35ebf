/* Which flashrelay this is. */
#ifndef CONTROL_VERSION_H
#define CONTROL_VERSION_H

/* As git describes the tree it was built from. */
const char *version_text(void);

#endif
