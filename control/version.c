#include "version.h"

const char *version_text(void)
{
    return FLASHRELAY_VERSION;
}
