/* The version of flashrelay. */
#ifndef CONTROL_VERSION_H
#define CONTROL_VERSION_H

/* Returns what git describe says of the tree that this was built from; static. */
const char *version_text(void);

#endif
