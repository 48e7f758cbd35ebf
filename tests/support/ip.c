#include "support/ip.h"

#include "support/must.h"

#include <string.h>

struct ip_address ip_of(const char *text)
{
    struct ip_address ip;

    must(ip_address_parse(&ip, text, strlen(text)) == 0);
    return ip;
}
