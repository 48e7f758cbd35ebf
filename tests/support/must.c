#include "support/must.h"

#include <stdlib.h>

void must(bool succeeded)
{
    if (!succeeded)
        abort();
}
